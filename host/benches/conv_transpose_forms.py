"""Forms of a transposed convolution 4×4, stride 2, 128 → 128 channels, batch 128, in ONNX Runtime: the best of several runs each.

python3 host/benches/conv_transpose_forms.py [threads]      (numpy, onnx, onnxruntime)

`host/src/graph/ops` uses: phases, the strided convolution, blocks; of the 7×7 convolution to one channel, products first.
"""
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

BATCH, CHANNELS, RUNS = 128, 128, 5
THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
random = np.random.default_rng(0)
node = helper.make_node


def noise(*shape):
    return random.standard_normal(shape, dtype=np.float32)


def run(name, nodes, inputs, output, integers=None):
    """Best time of a graph, in milliseconds, and its output."""
    values = [helper.make_tensor_value_info(key, TensorProto.FLOAT, value.shape) for key, value in inputs.items()]
    constants = [onnx.numpy_helper.from_array(np.array(v, dtype=np.int64), k) for k, v in (integers or {}).items()]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    model = helper.make_model(
        helper.make_graph(nodes, "form", values, outputs, constants), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 8
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(model.SerializeToString(), options)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        (answer,) = session.run([output], inputs)
        times.append(time.perf_counter() - start)
    print(f"  {name:<44} {min(times) * 1e3:8.1f} ms", flush=True)
    return answer


def same(a, b):
    assert np.abs(a - b).max() < 1e-4 * np.abs(a).max(), "two forms differ"


def forms(size):
    x, w = noise(BATCH, CHANNELS, size, size), noise(CHANNELS, CHANNELS, 4, 4)
    dy = noise(BATCH, CHANNELS, 2 * size, 2 * size)
    print(f"{size}×{size} → {2 * size}×{2 * size}, forward")
    attributes = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1] * 4}
    direct = run("ConvTranspose", [node("ConvTranspose", ["x", "w"], ["y"], **attributes)], {"x": x, "w": w}, "y")
    nodes, inputs = [], {"x": x}
    for a, b in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        rows, columns = [[3, 1], [2, 0]][a], [[3, 1], [2, 0]][b]
        inputs[f"w{a}{b}"] = np.ascontiguousarray(w[:, :, rows][:, :, :, columns].transpose(1, 0, 2, 3))
        nodes.append(node("Conv", ["x", f"w{a}{b}"], [f"y{a}{b}"], kernel_shape=[2, 2], pads=[1 - a, 1 - b, a, b]))
    nodes.append(node("Concat", ["y00", "y01", "y10", "y11"], ["side"], axis=1))
    nodes.append(node("DepthToSpace", ["side"], ["y"], blocksize=2, mode="DCR"))
    same(direct, run("four phases, DepthToSpace", nodes, inputs, "y"))
    matrix = np.ascontiguousarray(w.transpose(2, 3, 1, 0).reshape(16 * CHANNELS, CHANNELS))
    columns = np.ascontiguousarray(x.transpose(1, 0, 2, 3).reshape(CHANNELS, -1))
    run("its products alone, as one GEMM", [node("MatMul", ["w", "x"], ["y"])], {"w": matrix, "x": columns}, "y")
    print("input gradient")
    run("Conv, stride 2", [node("Conv", ["dy", "w"], ["dx"], **attributes)], {"dy": dy, "w": w}, "dx")
    print("weight gradient")
    same(strided_slices(size, x, dy), blocks(size, x, dy))


def rows_of_x():
    return [node("Transpose", ["x"], ["xt"], perm=[1, 0, 2, 3]), node("Reshape", ["xt", "matrix"], ["xm"])]


def strided_slices(size, x, dy):
    nodes = [*rows_of_x(), node("Transpose", ["dy"], ["dt"], perm=[1, 0, 2, 3]), node("Pad", ["dt", "pads"], ["dp"])]
    integers = {"matrix": [CHANNELS, -1], "pads": [0, 0, 1, 1, 0, 0, 1, 1], "axes": [2, 3], "steps": [2, 2]}
    integers["place"] = [CHANNELS, CHANNELS, 1]
    parts = []
    for i, j in [(i, j) for i in range(4) for j in range(4)]:
        k = f"{i}{j}"
        integers[f"s{k}"], integers[f"e{k}"] = [i, j], [i + 2 * size - 1, j + 2 * size - 1]
        nodes += [
            node("Slice", ["dp", f"s{k}", f"e{k}", "axes", "steps"], [f"q{k}"]),
            node("Reshape", [f"q{k}", "matrix"], [f"m{k}"]),
            node("Gemm", ["xm", f"m{k}"], [f"g{k}"], transB=1),
            node("Reshape", [f"g{k}", "place"], [f"h{k}"]),
        ]
        parts.append(f"h{k}")
    nodes.append(node("Concat", parts, ["dw"], axis=2))
    answer = run("a product a position, slices with steps", nodes, {"x": x, "dy": dy}, "dw", integers)
    return answer.reshape(CHANNELS, CHANNELS, 4, 4)


def blocks(size, x, dy):
    nodes = [*rows_of_x(), node("Pad", ["dy", "pads"], ["dp"]), node("SpaceToDepth", ["dp"], ["q"], blocksize=2)]
    nodes.append(node("Transpose", ["q"], ["qt"], perm=[1, 0, 2, 3]))
    integers = {"matrix": [CHANNELS, -1], "pads": [0, 0, 1, 1, 0, 0, 1, 1], "axes": [2, 3]}
    integers |= {"blocks": [4 * CHANNELS, -1], "place": [CHANNELS, 1, 4 * CHANNELS]}
    parts = []
    for i, j in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        k = f"{i}{j}"
        integers[f"s{k}"], integers[f"e{k}"] = [i, j], [i + size, j + size]
        nodes += [
            node("Slice", ["qt", f"s{k}", f"e{k}", "axes"], [f"q{k}"]),
            node("Reshape", [f"q{k}", "blocks"], [f"m{k}"]),
            node("Gemm", ["xm", f"m{k}"], [f"g{k}"], transB=1),
            node("Reshape", [f"g{k}", "place"], [f"h{k}"]),
        ]
        parts.append(f"h{k}")
    nodes.append(node("Concat", parts, ["dw"], axis=1))
    answer = run("SpaceToDepth first, four products", nodes, {"x": x, "dy": dy}, "dw", integers)
    answer = answer.reshape(CHANNELS, 2, 2, 2, 2, CHANNELS).transpose(0, 5, 1, 3, 2, 4)
    return answer.reshape(CHANNELS, CHANNELS, 4, 4)


def one_filter():
    x, w = noise(BATCH, CHANNELS, 28, 28), noise(1, CHANNELS, 7, 7)
    print("7×7 to one channel, 28×28")
    direct = run("Conv", [node("Conv", ["x", "w"], ["y"], kernel_shape=[7, 7], pads=[3] * 4)], {"x": x, "w": w}, "y")
    nodes = [node("MatMul", ["w", "x"], ["p"]), node("Reshape", ["p", "image"], ["i"]), node("Pad", ["i", "pads"], ["pp"])]
    integers = {"image": [BATCH, 49, 28, 28], "pads": [0, 0, 3, 3, 0, 0, 3, 3], "axes": [1, 2, 3]}
    for k in range(49):
        integers[f"s{k}"], integers[f"e{k}"] = [k, k // 7, k % 7], [k + 1, k // 7 + 28, k % 7 + 28]
        nodes.append(node("Slice", ["pp", f"s{k}", f"e{k}", "axes"], [f"q{k}"]))
    nodes.append(node("Sum", [f"q{k}" for k in range(49)], ["y"]))
    inputs = {"w": np.ascontiguousarray(w[0].reshape(CHANNELS, 49).T), "x": x.reshape(BATCH, CHANNELS, 784)}
    same(direct, run("products first, then shifted and added", nodes, inputs, "y", integers))


forms(7)
forms(14)
one_filter()
