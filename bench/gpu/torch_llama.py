"""The same Llama in PyTorch, eager, float16, with the same weights: what a GPU does without WebGPU in between."""

import json
import statistics
import sys
import time

import torch

model, work = json.load(open(sys.argv[1])), json.load(open(sys.argv[2]))
shape = model["shape"]
heads, kv_heads, size = shape["heads"], shape["keyValueHeads"], shape["headSize"]
device = "cuda" if torch.cuda.is_available() else "cpu"
dtype = torch.float16 if device == "cuda" else torch.float32


def wait():
    if device == "cuda":
        torch.cuda.synchronize()


started = time.perf_counter()
file = open(model["weights"], "rb")
weights = {}
for tensor in model["tensors"]:
    count = 1
    for dimension in tensor["dimensions"]:
        count *= dimension
    file.seek(tensor["offset"])
    numbers = torch.frombuffer(bytearray(file.read(2 * count)), dtype=torch.float16)
    weights[tensor["name"]] = numbers.reshape(tensor["dimensions"]).to(device=device, dtype=dtype)
half = size // 2
frequencies = shape["ropeTheta"] ** (-2 * torch.arange(half, dtype=torch.float64) / size)
angles = torch.arange(shape["positions"], dtype=torch.float64)[:, None] * frequencies[None]
# Rounded as the graph has them.
cos, sin = angles.cos().half().to(device, dtype), angles.sin().half().to(device, dtype)
wait()
loading = time.perf_counter() - started


def norm(name, x):
    wide = x.float()
    normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + shape["epsilon"])
    return normed.to(dtype) * weights[name + ".weight"]


def linear(name, x):
    return x @ weights[name + ".MatMul.weight"]


def rotate(x, first):
    c, s = cos[first : first + x.shape[1]], sin[first : first + x.shape[1]]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * c - b * s, b * c + a * s], -1)


def run(ids, past):
    x = weights["model.embed_tokens.weight"][torch.tensor(ids, device=device)]
    length = 0 if past is None else past[0][0].shape[1]
    present = []
    for layer in range(shape["layers"]):
        scope = f"model.layers.{layer}"
        normed = norm(scope + ".input_layernorm", x)
        q, k, v = (
            linear(f"{scope}.attn.{name}_proj", normed).view(len(ids), -1, size).transpose(0, 1) for name in "qkv"
        )
        q, k = rotate(q, length), rotate(k, length)
        if past is not None:
            k, v = torch.cat([past[layer][0], k], 1), torch.cat([past[layer][1], v], 1)
        present.append((k, v))
        groups = heads // kv_heads
        attended = torch.nn.functional.scaled_dot_product_attention(
            q[None], k.repeat_interleave(groups, 0)[None], v.repeat_interleave(groups, 0)[None], is_causal=past is None
        )
        x = x + linear(scope + ".attn.o_proj", attended[0].transpose(0, 1).reshape(len(ids), -1))
        normed = norm(scope + ".post_attention_layernorm", x)
        gate = torch.nn.functional.silu(linear(scope + ".mlp.gate_proj", normed))
        x = x + linear(scope + ".mlp.down_proj", gate * linear(scope + ".mlp.up_proj", normed))
    return x, present


def head(x):
    return linear("lm_head", norm("model.norm", x)).float()


with torch.inference_mode():
    checked = work["checked"]
    scores = torch.log_softmax(head(run(checked, None)[0]), -1)
    logprobs = [scores[index, id].item() for index, id in enumerate(checked[1:])]
    firsts, speeds = [], []
    for round in range(-1, work["repetitions"]):
        ids = torch.randint(10, shape["vocabulary"], (work["promptTokens"],)).tolist()
        wait()
        began = time.perf_counter()
        x, past = run(ids, None)
        next_id = head(x[-1:])[-1].argmax().item()
        first = time.perf_counter()
        for _ in range(work["answerTokens"] - 1):
            x, past = run([next_id], past)
            next_id = head(x[-1:])[-1].argmax().item()
        if round >= 0:
            firsts.append(first - began)
            speeds.append((work["answerTokens"] - 1) / (time.perf_counter() - first))

first = statistics.median(firsts)
figures = {
    "cold load, ms": loading * 1000,
    "first token, ms": first * 1000,
    "prefill, tokens/s": work["promptTokens"] / first,
    "decode, greedy, tokens/s": statistics.median(speeds),
}
print(json.dumps({"logprobs": logprobs, "figures": figures, "versions": {"torch": f"{torch.__version__}, {device}"}}))
