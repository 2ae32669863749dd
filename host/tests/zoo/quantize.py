"""Writes qoperator.onnx and qdq.onnx: a small net with weights drawn at random, in the two forms that ONNX Runtime quantizes to.

    pip install onnx onnxruntime numpy && python host/tests/zoo/quantize.py

Input and output of the first are integers: the QuantizeLinear and DequantizeLinear at its ends are taken away.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

random = np.random.default_rng(4)
folder = Path(__file__).parent


def weights(name, *dims):
    fan_in = np.prod(dims[1:]) if len(dims) > 1 else 100
    return numpy_helper.from_array((random.standard_normal(dims) / np.sqrt(fan_in)).astype(np.float32), name)


def real():
    nodes = [
        helper.make_node("Conv", ["x", "w0", "b0"], ["c0"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("MaxPool", ["r0"], ["m0"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["m0", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["c1", "m0"], ["a1"]),
        helper.make_node("LeakyRelu", ["a1"], ["l1"], alpha=0.1),
        helper.make_node("GlobalAveragePool", ["l1"], ["g"]),
        helper.make_node("Flatten", ["g"], ["f"]),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], transB=1),
    ]
    constants = [weights("w0", 8, 2, 3, 3), weights("b0", 8), weights("w1", 8, 8, 3, 3), weights("b1", 8)]
    constants += [weights("w2", 5, 8), weights("b2", 5)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", 1, [1, 2, 8, 8])], [value("y", 1, [1, 5])], constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


class Inputs(CalibrationDataReader):
    def __init__(self):
        self.left = iter({"x": random.random((1, 2, 8, 8), dtype=np.float32)} for _ in range(32))

    def get_next(self):
        return next(self.left, None)


def with_integer_ends(model):
    graph = model.graph
    first = next(node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "x")
    last = next(node for node in graph.node if node.op_type == "DequantizeLinear" and node.output[0] == "y")
    graph.input[0].name, graph.output[0].name = first.output[0], last.input[0]
    for end in (graph.input[0], graph.output[0]):
        end.type.tensor_type.elem_type = TensorProto.UINT8
    graph.node.remove(first)
    graph.node.remove(last)
    return model


source = folder / "real.onnx"
onnx.save(real(), source)
types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8, "per_channel": True}
for form, name in ((QuantFormat.QOperator, "qoperator"), (QuantFormat.QDQ, "qdq")):
    target = folder / f"{name}.onnx"
    quantize_static(source, target, Inputs(), quant_format=form, **types)
    model = onnx.load(target)
    if form == QuantFormat.QOperator:
        model = with_integer_ends(model)
    onnx.checker.check_model(model)
    onnx.save(model, target)
    print([node.op_type for node in model.graph.node])
source.unlink()
