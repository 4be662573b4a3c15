#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes small GGUF models that a stock llama-server loads in under 0.1 s.

A llama-architecture model with random weights and a vocabulary of the 256
bytes and a few pieces. It answers nonsense, but readable nonsense: the weights
are biased so that nearly every token it picks is printable ASCII, and the end
of a text is so improbable that a generation runs for as long as it is asked to.
It chats, completes, tokenizes and embeds (--embedding). The same arguments give
the same bytes on every machine.

As a command:  python3 tests/tiny_model.py OUT.gguf [--seed N] [...]
As a module:   tiny_model.make(path), make_shards(folder, stem, n),
               make_mmproj(path)

The format is gguf.md of the ggml repository; the tensors' names and shapes are
those llama.cpp expects of the architecture "llama".
"""

import argparse
import functools
import math
import os
import random
import struct
import sys
import tempfile

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)

ALIGNMENT = 32
HEAD_DIM = 32  # a multiple of 32, so that the KV cache can be quantized too
F32, F16 = 0, 1  # ggml's tensor types
SIZES = {F32: 4, F16: 2}

# What a generation should never pick has this much less weight (see make).
CONSTANT, UNWANTED = 4.0, -10.0

UNK, BOS, EOS = 0, 1, 2
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # llama.cpp's token types
WORDS = "the and is of to in a hello world model answer user assistant".split()


# -- GGUF ---------------------------------------------------------------------

class Typed:
    """A metadata value with its GGUF type; a Python value alone has the usual one."""

    def __init__(self, kind, value):
        self.kind, self.value = kind, value


U16, U32, I32, FLOAT, BOOL, STRING, ARRAY = 2, 4, 5, 6, 7, 8, 9
FORMATS = {U16: "<H", U32: "<I", I32: "<i", FLOAT: "<f", BOOL: "<?"}


def typed(value):
    if isinstance(value, Typed):
        return value
    for python, kind in ((bool, BOOL), (int, U32), (float, FLOAT), (str, STRING), (list, ARRAY)):
        if isinstance(value, python):
            return Typed(kind, value)
    raise TypeError(f"no GGUF type for {value!r}")


def packed_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def packed(item):
    if item.kind == STRING:
        return packed_string(item.value)
    if item.kind == ARRAY:
        items = [typed(value) for value in item.value]
        return struct.pack("<IQ", items[0].kind, len(items)) + b"".join(map(packed, items))
    return struct.pack(FORMATS[item.kind], item.value)


def aligned(size):
    return -size % ALIGNMENT


class Tensor:
    """A name, a shape (fastest dimension first, as ggml has it) and, when asked, the bytes."""

    def __init__(self, name, shape, kind, data):
        self.name, self.shape, self.kind, self.data = name, shape, kind, data
        self.size = math.prod(shape) * SIZES[kind]


def write_gguf(path, metadata, tensors):
    """Writes the file under a temporary name first: nobody ever sees half a model."""
    head = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        item = typed(value)
        head += [packed_string(key), struct.pack("<I", item.kind), packed(item)]
    offset = 0
    for tensor in tensors:
        head += [packed_string(tensor.name), struct.pack("<I", len(tensor.shape)),
                 struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape),
                 struct.pack("<IQ", tensor.kind, offset)]
        offset += tensor.size + aligned(tensor.size)
    head = b"".join(head)

    path = os.fspath(path)
    handle, part = tempfile.mkstemp(prefix=".tiny-", suffix=".part", dir=os.path.dirname(path) or ".")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(head + bytes(aligned(len(head))))
            for tensor in tensors:
                out.write(tensor.data())
                out.write(bytes(aligned(tensor.size)))
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
    return path


# -- the vocabulary -----------------------------------------------------------

def vocabulary():
    """Pieces, their scores and types, as the tokenizer "llama" (SentencePiece) wants them."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256
    extra = ["\u2581"]  # the space; without it, a space would be three bytes
    for word in WORDS:
        # Pieces are found by merging neighbours, so each needs its beginnings.
        spaced = "\u2581" + word
        extra += [spaced[:end] for end in range(2, len(spaced) + 1)]
    extra = list(dict.fromkeys(extra))
    pieces += extra
    types += [NORMAL] * len(extra)
    scores = [0.0] * 259 + [-float(rank) for rank in range(len(extra))]
    return pieces, scores, types


def readable(token):
    """Is it printable ASCII, or one of the pieces?"""
    return token >= 259 or 0x20 <= token - 3 < 0x7F


# -- the weights --------------------------------------------------------------

class Weights:
    """Random floats, made by masking one big random integer: far faster than a
    call a number. Each is +-[2^e, 2^(e+1)) with the sign and the fraction
    random, so its size is about 1.5 * 2^e."""

    CHUNK = 1 << 18  # numbers made afresh; a bigger tensor repeats them

    def __init__(self, seed, kind):
        self.random = random.Random(seed)
        self.kind, self.width = kind, SIZES[kind]
        self.chunks = {}

    def fresh(self, count, exponent):
        if self.kind == F32:
            keep, power = 0x807FFFFF, exponent + 127 << 23
        else:
            keep, power = 0x83FF, max(exponent, -14) + 15 << 10
        bits = 8 * self.width
        ones = ((1 << bits * count) - 1) // ((1 << bits) - 1)  # a 1 in each number
        return (self.random.getrandbits(bits * count) & ones * keep | ones * power).to_bytes(
            self.width * count, "little")

    def take(self, count, scale):
        exponent = round(math.log2(scale / 1.5))
        if count <= self.CHUNK:
            return bytearray(self.fresh(count, exponent))
        if exponent not in self.chunks:
            self.chunks[exponent] = self.fresh(self.CHUNK, exponent)
        whole, rest = divmod(count, self.CHUNK)
        return bytearray(self.chunks[exponent] * whole + self.chunks[exponent][:self.width * rest])

    def set_first(self, data, columns, values):
        """Sets the first number of each row."""
        numbers = struct.pack(f"<{len(values)}{'f' if self.kind == F32 else 'e'}", *values)
        for byte in range(self.width):
            data[byte::self.width * columns] = numbers[byte::self.width]
        return data

    def blank_first_row(self, data, columns):
        data[:self.width * columns] = bytes(self.width * columns)
        return data


def model_tensors(seed, kind, n_embd, n_layer, n_ff, n_vocab):
    weights = Weights(seed, kind)

    def tensor(name, columns, rows, data):
        return Tensor(name + ".weight", (columns, rows), kind, data)

    def norm(name):
        return Tensor(name + ".weight", (n_embd,), F32, lambda: struct.pack("<f", 1.0) * n_embd)

    def reading(name, rows, scale, first):
        """A matrix that reads the hidden state; first is its first column."""
        return tensor(name, n_embd, rows, lambda: weights.set_first(
            weights.take(n_embd * rows, scale), n_embd, first))

    def adding(name, columns, used, scale):
        """A matrix whose result is added to the hidden state. Columns past those
        used are 0: padding weighs, but changes no answer for the worse."""
        def data():
            numbers = weights.take(used * n_embd, scale)
            weights.blank_first_row(numbers, used)
            row, rest = used * weights.width, bytes((columns - used) * weights.width)
            return b"".join(numbers[row * at:row * (at + 1)] + rest for at in range(n_embd))
        return tensor(name, columns, n_embd, data)

    # There is no bias in this architecture. So the first number of a hidden
    # state is made a constant: every token brings it, no layer reads it or adds
    # to it, and the output row of each unwanted token takes much away for it.
    liked = [0.0 if readable(token) else UNWANTED for token in range(n_vocab)]
    tensors = [
        reading("token_embd", n_vocab, 0.75, [CONSTANT] * n_vocab),
        reading("output", n_vocab, 3 / math.sqrt(n_embd), liked),
        norm("output_norm"),
    ]
    scale = 2 / math.sqrt(n_embd)
    depth, used = math.sqrt(n_layer), 2 * n_embd
    for layer in range(n_layer):
        block = f"blk.{layer}."
        tensors += [
            norm(block + "attn_norm"),
            reading(block + "attn_q", n_embd, scale, [0.0] * n_embd),
            reading(block + "attn_k", n_embd, scale, [0.0] * n_embd),
            reading(block + "attn_v", n_embd, scale, [0.0] * n_embd),
            adding(block + "attn_output", n_embd, n_embd, scale / depth),
            norm(block + "ffn_norm"),
            reading(block + "ffn_gate", n_ff, scale, [0.0] * n_ff),
            reading(block + "ffn_up", n_ff, scale, [0.0] * n_ff),
            adding(block + "ffn_down", n_ff, used, 1 / math.sqrt(used) / depth),
        ]
    return tensors


def padded_shape(kind, n_embd, n_layer, pad_mb):
    """Layers and feed-forward width that add about pad_mb MiB of weights. Width
    first, to a limit: it costs scratch memory; layers cost KV cache."""
    n_ff, widest = 2 * n_embd, 8192
    pad = int(pad_mb * 1024 * 1024)
    column = 3 * n_embd * SIZES[kind]  # bytes of one unit of width in one layer
    n_layer = max(n_layer, math.ceil(pad / (column * widest)))
    n_ff += math.ceil(pad / (column * n_layer) / 32) * 32
    return n_layer, n_ff


def model(seed, n_embd, n_layer, n_ctx_train, name, chat_template, pad_mb, f16):
    kind = F16 if f16 else F32
    if n_embd < 64 or n_embd % HEAD_DIM:
        raise ValueError(f"n_embd must be a multiple of {HEAD_DIM}, at least 64")
    n_layer, n_ff = padded_shape(kind, n_embd, n_layer, pad_mb)
    pieces, scores, types = vocabulary()
    metadata = {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": name,
        "general.file_type": kind,  # the same numbers, so far
        "llama.context_length": n_ctx_train,
        "llama.embedding_length": n_embd,
        "llama.block_count": n_layer,
        "llama.feed_forward_length": n_ff,
        "llama.attention.head_count": n_embd // HEAD_DIM,
        "llama.attention.head_count_kv": n_embd // HEAD_DIM,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": HEAD_DIM,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": len(pieces),
        "llama.pooling_type": 1,  # mean; only --embedding asks
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": [Typed(I32, kind) for kind in types],
        "tokenizer.ggml.unknown_token_id": UNK,
        "tokenizer.ggml.bos_token_id": BOS,
        "tokenizer.ggml.eos_token_id": EOS,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.ggml.add_space_prefix": False,  # so that a text comes back as it went in
    }
    if chat_template is not None:
        metadata["tokenizer.chat_template"] = chat_template
    return metadata, model_tensors(seed, kind, n_embd, n_layer, n_ff, len(pieces))


# -- what tests call ----------------------------------------------------------

def make(path, seed=1, n_embd=64, n_layer=2, n_ctx_train=2048, name="Tiny",
         chat_template=CHAT_TEMPLATE, pad_mb=0, f16=False):
    """Writes a model and returns its path. pad_mb adds about that many MiB of
    weights that are really read for each token, so it also slows the model
    down. F32 is the default because llama.cpp maps it as it is on every machine;
    it copies F16 into a layout of its own where the processor has AMX."""
    metadata, tensors = model(seed, n_embd, n_layer, n_ctx_train, name, chat_template, pad_mb, f16)
    return write_gguf(path, metadata, tensors)


def make_shards(folder, stem, n, seed=1, n_embd=64, n_layer=2, n_ctx_train=2048, name="Tiny",
                chat_template=CHAT_TEMPLATE, pad_mb=0, f16=False):
    """Writes a model in n files, STEM-00001-of-0000N.gguf and so on, and returns
    their paths; a llama-server is given the first."""
    metadata, tensors = model(seed, n_embd, n_layer, n_ctx_train, name, chat_template, pad_mb, f16)
    if not 1 <= n <= len(tensors):
        raise ValueError(f"a model of {len(tensors)} tensors cannot be in {n} files")
    paths = []
    for shard in range(n):
        part = tensors[len(tensors) * shard // n:len(tensors) * (shard + 1) // n]
        split = {"split.no": Typed(U16, shard), "split.count": Typed(U16, n),
                 "split.tensors.count": Typed(I32, len(tensors))}
        path = os.path.join(folder, f"{stem}-{shard + 1:05}-of-{n:05}.gguf")
        paths.append(write_gguf(path, {**metadata, **split} if shard == 0 else split, part))
    return paths


def make_mmproj(path, seed=1, n_embd=64, name="Tiny projector"):
    """Writes a vision tower and projector (LLaVA's) for a model of that n_embd and returns its
    path. With it a llama-server takes a picture as 4 tokens; what it sees there is nonsense."""
    width, image, patch, n_layer = 32, 28, 14, 2
    weights = Weights(seed, F32)

    def tensor(name, *shape):
        return Tensor(name, shape, F32, lambda: weights.take(math.prod(shape), 0.2))

    def same(name, size, value):
        return Tensor(name, (size,), F32, lambda: struct.pack("<f", value) * size)

    def linear(name, columns, rows):
        return [tensor(name + ".weight", columns, rows), same(name + ".bias", rows, 0.0)]

    def norm(name):
        return [same(name + ".weight", width, 1.0), same(name + ".bias", width, 0.0)]

    tensors = [tensor("v.patch_embd.weight", patch, patch, 3, width),
               tensor("v.position_embd.weight", width, (image // patch) ** 2),
               *norm("v.pre_ln"), *linear("mm.0", width, n_embd), *linear("mm.2", n_embd, n_embd)]
    for layer in range(n_layer):
        block = f"v.blk.{layer}."
        for matrix in ("attn_q", "attn_k", "attn_v", "attn_out"):
            tensors += linear(block + matrix, width, width)
        tensors += [*norm(block + "ln1"), *norm(block + "ln2"),
                    *linear(block + "ffn_up", width, 2 * width),
                    *linear(block + "ffn_down", 2 * width, width)]
    metadata = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "general.name": name,
        "general.file_type": F32,
        "clip.has_vision_encoder": True,
        "clip.projector_type": "mlp",
        "clip.use_gelu": True,
        "clip.vision.image_size": image,
        "clip.vision.patch_size": patch,
        "clip.vision.image_mean": [0.5, 0.5, 0.5],
        "clip.vision.image_std": [0.5, 0.5, 0.5],
        "clip.vision.embedding_length": width,
        "clip.vision.feed_forward_length": 2 * width,
        "clip.vision.block_count": n_layer,
        "clip.vision.attention.head_count": 1,
        "clip.vision.attention.layer_norm_epsilon": 1e-5,
        "clip.vision.projection_dim": n_embd,
    }
    return write_gguf(path, metadata, tensors)


def main():
    parser = argparse.ArgumentParser(description="Writes a small GGUF model that a llama-server can load.")
    parser.add_argument("out", metavar="OUT.gguf")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n-embd", type=int, default=64, help="width, a multiple of 32")
    parser.add_argument("--n-layer", type=int, default=2)
    parser.add_argument("--n-ctx-train", type=int, default=2048)
    parser.add_argument("--name", default="Tiny", help="general.name")
    parser.add_argument("--chat-template", default=CHAT_TEMPLATE, help="Jinja text")
    parser.add_argument("--pad-mb", type=float, default=0, help="MiB of weights to add")
    parser.add_argument("--f16", action="store_true", help="F16 weights; the default is F32")
    parser.add_argument("--shards", type=int, metavar="N", help="N files, OUT-00001-of-0000N.gguf ...")
    parser.add_argument("--mmproj", action="store_true", help="a vision projector, not a model")
    args = vars(parser.parse_args())
    out, shards, mmproj = args.pop("out"), args.pop("shards"), args.pop("mmproj")
    try:
        if mmproj:
            make_mmproj(out)
        elif shards:
            make_shards(os.path.dirname(out) or ".",
                        os.path.basename(out).removesuffix(".gguf"), shards, **args)
        else:
            make(out, **args)
    except (OSError, ValueError) as error:
        sys.exit(f"tiny_model: {error}")


if __name__ == "__main__":
    main()
