# SPDX-License-Identifier: MIT
"""Models in a Hugging Face cache, as a download leaves them."""
import os

import tiny_model

COMMIT = "a" * 40


def put(cache, repo, *files, commit=COMMIT, **kw):
    """Tiny models under these names of `repo`: the folder of its snapshot."""
    root = cache / ("models--" + repo.replace("/", "--"))
    snapshot = root / "snapshots" / commit
    for folder in (root / "refs", root / "blobs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "refs" / "main").write_text(commit, encoding="ascii")
    for number, name in enumerate(files):
        blob = root / "blobs" / f"{name.replace('/', '_')}.blob"
        tiny_model.make(str(blob), seed=number + 1, **kw)
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot
