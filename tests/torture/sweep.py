# SPDX-License-Identifier: MIT
"""Goes through jobs: an act, or the start or the end of a daemon, with each nth call failing in turn."""
import collections
import sys
import time

from torture.acts import ACTS
from torture.control import name_of
from torture.faults import FOR_EVER, all_faults
from torture.harness import Daemon, Problem, torture_end, torture_start

START, END = "start", "end"  # in place of an act: these take a daemon each
RUNS_MAX = 400  # with one daemon: its end tells whether it has leaked

Job = collections.namedtuple("Job", "act fault")


def text_of(job):
    times = job.fault.times
    lasting = "" if times == 1 else " and all that follow" if times == FOR_EVER else f" {times} times"
    size = f" of {job.fault.min_size} bytes or more" if job.fault.min_size else ""
    return f"{job.act}: {job.fault.kind} {name_of(job.fault.error)}{size}{lasting}"


def all_jobs():
    """A daemon that cannot have its own tables does not start, and says so: that is no finding."""
    return [Job(act, fault) for act in (*ACTS, START, END) for fault in all_faults()
            if act != START or not fault.min_size]


class Sweep:
    def __init__(self, folder, engine, done_path=None, again=True):
        self.folder, self.engine = folder, engine
        self.done_path = done_path
        self.done = set()
        if done_path and done_path.exists() and not again:
            self.done = set(done_path.read_text(encoding="utf-8").splitlines())
        self.daemon, self.runs, self.number = None, 0, 0
        self.findings = []
        self.total = 0

    def fresh_folder(self):
        self.number += 1
        return self.folder / str(self.number)

    def ready(self):
        """A daemon in the state in which acts begin."""
        if self.daemon and self.runs >= RUNS_MAX:
            self.finish()
        if not self.daemon:
            self.daemon, self.runs = Daemon(self.fresh_folder(), self.engine), 0
            self.daemon.begin()
        self.runs += 1
        return self.daemon

    def finish(self):
        """The daemon's end, and what it shows: a leak is of one of the runs before."""
        daemon, self.daemon = self.daemon, None
        if daemon:
            daemon.end()

    def once(self, job, nth):
        """Whether there was an nth call; a Problem is kept as a finding."""
        self.total += 1
        try:
            if job.act in (START, END):
                run = torture_start if job.act == START else torture_end
                return run(self.fresh_folder(), self.engine, job.fault, nth) is not None
            return self.ready().torture(job.act, job.fault, nth) is not None
        except (Problem, AssertionError) as problem:
            self.found(f"{text_of(job)}, call {nth}", problem)
            self.drop()
            return True

    def found(self, what, problem):
        self.findings.append((what, str(problem)))
        print(f"\n=== {what}\n{problem}", flush=True)

    def drop(self):
        """A daemon of which something is wrong is not used again."""
        daemon, self.daemon = self.daemon, None
        if daemon and daemon.server:
            daemon.kill()

    def finish_and_judge(self, job):
        try:
            self.finish()
        except (Problem, AssertionError) as problem:
            self.found(f"the daemon's end, after {self.runs} runs, the last of them {text_of(job)}", problem)

    def sweep(self, job, until, stop):
        """Each nth call; false when the time or the patience with findings is over."""
        nth = 1
        while self.once(job, nth):
            nth += 1
            if until and time.monotonic() > until or len(self.findings) >= stop:
                return False
        self.finish_and_judge(job)
        sys.stdout.write(f"{text_of(job)}: {nth - 1} calls\n")
        sys.stdout.flush()
        return True

    def sample(self, jobs, per_job):
        """Of each job so many calls, spread over all that its act makes; another one from job to job."""
        counts = {}
        for i, job in enumerate(jobs):
            if job.act not in counts:
                counts[job.act] = self.ready().count(job.act)
            n = 1 if job.fault.min_size else counts[job.act][job.fault.kind]
            for k in range(min(n, per_job)):
                self.once(job, 1 + (i * 7 + k * n // per_job) % n)
        try:
            self.finish()
        except (Problem, AssertionError) as problem:
            self.found("the last daemon's end", problem)

    def note_done(self, job):
        if self.done_path:
            self.done_path.parent.mkdir(exist_ok=True)
            with open(self.done_path, "a", encoding="utf-8") as f:
                f.write(text_of(job) + "\n")

    def run(self, jobs, seconds=0, nth=None, stop=20):
        """Every nth call of each job, or one; the exit status."""
        until, whole = seconds and time.monotonic() + seconds, True
        for job in jobs:
            if text_of(job) in self.done:
                continue
            before = len(self.findings)
            if nth:
                self.once(job, nth)
                self.finish_and_judge(job)
            elif not self.sweep(job, until, stop):
                whole = False
                break
            if len(self.findings) == before:
                self.note_done(job)
        self.drop()
        if whole and not self.findings and self.done_path and self.done_path.exists():
            self.done_path.unlink()
        return self.report("" if whole else "; not all is done")

    def report(self, more=""):
        """The exit status."""
        print(f"{self.total} failures, {len(self.findings)} findings{more}")
        for what, _ in self.findings:
            print("  " + what)
        return 1 if self.findings else 0
