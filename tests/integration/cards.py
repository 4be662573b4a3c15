# SPDX-License-Identifier: MIT
"""Machines with cards, for tests: NVML's stand-in, and models of any size without their weights."""
import pathlib
import struct

import tiny_model
from conftest import HOSTLER

NVML = pathlib.Path(HOSTLER).with_name("fake_nvml.so")
MIB = 1 << 20
# Of the daemon's environment in the machine that runs the tests.
NO_VIEWS = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
            "GGML_VK_VISIBLE_DEVICES", "ONEAPI_DEVICE_SELECTOR")


def machine(cards, free=None, **variables):
    """The environment of a daemon on a machine with these cards, as FAKE_NVML_CARDS lists them."""
    return {"HOSTLER_NVML": str(NVML), "FAKE_NVML_CARDS": cards,
            **({"FAKE_NVML_FREE": free} if free else {}), **variables}


def alike(n, mib=24576):
    return ",".join(f"{mib}@{bus}:NVIDIA A" for bus in range(1, n + 1))


def hollow_model(path, tensors, **metadata):
    """A GGUF file whose header tells of these tensors, (name, MiB); their data is a hole in the file."""
    embedding = 256
    head = {"general.architecture": "llama", "llama.context_length": 4096, "llama.embedding_length": embedding,
            "llama.attention.head_count": 8, "llama.attention.head_count_kv": 2, "llama.vocab_size": 1024}
    head.update(metadata)
    out = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(head))]
    for key, value in head.items():
        item = tiny_model.typed(value)
        out += [tiny_model.packed_string(key), struct.pack("<I", item.kind), tiny_model.packed(item)]
    offset = 0
    for name, mib in tensors:
        rows = mib * MIB // (2 * embedding)
        out += [tiny_model.packed_string(name), struct.pack("<I2QIQ", 2, embedding, rows, tiny_model.F16, offset)]
        offset += mib * MIB
    text = b"".join(out)
    with open(path, "wb") as f:
        f.write(text)
        f.truncate(len(text) + tiny_model.aligned(len(text)) + offset)
    pathlib.Path(f"{path}.fake").write_text("{}", encoding="ascii")
    return path


def blocks(path, n=8, mib=64, ends=32, experts=0, tied=False, **metadata):
    """A model of n blocks of so many MiB, `experts` of them experts, and `ends` MiB for input and output each."""
    tensors = [("token_embd.weight", ends)] + ([] if tied else [("output.weight", ends)])
    for i in range(n):
        tensors.append((f"blk.{i}.attn_q.weight", mib - experts))
        tensors += [(f"blk.{i}.ffn_{part}_exps.weight", experts // 3) for part in ("gate", "up", "down") if experts]
    return hollow_model(path, tensors, **{"llama.block_count": n, **metadata})


class Slots:
    """The cards of a machine while a daemon runs: slots.hold(cards, free), as FAKE_NVML_CARDS and FAKE_NVML_FREE list them; slots.env is the daemon's environment."""

    def __init__(self, folder, cards):
        self.file, self.awake = folder / "nvml", folder / "awake"
        self.env = {"HOSTLER_NVML": str(NVML), "FAKE_NVML_FILE": str(self.file), "FAKE_NVML_AWAKE": str(self.awake)}
        self.hold(cards)

    def hold(self, cards, free=""):
        new = self.file.with_suffix(".new")
        new.write_text(f"{free}\n\n{cards}\n", encoding="ascii")
        new.rename(self.file)

    def sleep(self):
        """Whether the daemon has let go of the cards."""
        return not self.awake.exists()
