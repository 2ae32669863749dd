"""Times the two forms in which a training step can compute a convolution 3x3 'same' with both of its gradients: ONNX Runtime's
Conv (and products over slices for the weights), or one product over the patches of all images. `graph/ops/patches.rs` chooses
between them by the size of the image.

    pip install numpy onnx onnxruntime && python conv_forms.py [BATCH]
"""

import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

BATCH = int(sys.argv[1]) if len(sys.argv) > 1 else 64
ROUNDS = 7
# Input channels, output channels, side: VGG16's on CIFAR-10, and those of a narrow net.
SHAPES = [
    (512, 512, 2), (256, 512, 4), (512, 512, 4), (128, 256, 8), (256, 256, 8), (64, 128, 16), (128, 128, 16), (64, 64, 32),
    (32, 48, 16), (48, 64, 8), (64, 64, 8), (64, 96, 4),
]
OUTPUTS = ["y", "dx", "dw"]


class Form:
    """A graph from x, w and dy to y, dx and dw."""

    def __init__(self, channels, filters, side):
        self.channels, self.filters, self.side = channels, filters, side
        self.nodes, self.constants = [], {}

    def node(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def integers(self, *values):
        name = "i" + "_".join(str(value).replace("-", "m") for value in values)
        self.constants[name] = np.array(values, np.int64)
        return name

    def reshape(self, x, *shape):
        return self.node("Reshape", [x, self.integers(*shape)], f"{x}.{len(self.nodes)}")

    def transpose(self, x, *order):
        return self.node("Transpose", [x], f"{x}.{len(self.nodes)}", perm=order)

    def slices(self, x, first_axis):
        """What each kernel position sees of x, which is padded along two axes from the first one on."""
        pads = [0] * 8
        for axis in (first_axis, first_axis + 1):
            pads[axis] = pads[axis + 4] = 1
        padded = self.node("Pad", [x, self.integers(*pads)], f"{x}.padded")
        axes = self.integers(first_axis, first_axis + 1)
        for i, j in ((i, j) for i in range(3) for j in range(3)):
            ends = self.integers(i + self.side, j + self.side)
            yield self.node("Slice", [padded, self.integers(i, j), ends, axes], f"{padded}.{i}{j}")

    def turned_weights(self):
        back, axes = self.integers(-1, -1), self.integers(2, 3)
        flipped = self.node("Slice", ["w", back, self.integers(-(2**62), -(2**62)), axes, back], "w.flipped")
        return self.transpose(flipped, 1, 0, 2, 3)

    def session(self):
        shapes = {"x": self.channels, "dy": self.filters}
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (BATCH, size, self.side, self.side))
                  for name, size in shapes.items()]
        inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (self.filters, self.channels, 3, 3)))
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in OUTPUTS]
        constants = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "form", inputs, outputs, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def by_conv(channels, filters, side):
    form = Form(channels, filters, side)
    form.node("Conv", ["x", "w"], "y", pads=[1] * 4)
    form.node("Conv", ["dy", form.turned_weights()], "dx", pads=[1] * 4)
    dy = form.reshape(form.transpose("dy", 1, 0, 2, 3), filters, -1)
    seen = [form.reshape(part, channels, -1) for part in form.slices(form.transpose("x", 1, 0, 2, 3), 2)]
    if 9 * channels <= 512:
        form.node("Gemm", [dy, form.node("Concat", seen, "patches", axis=0)], "dw", transB=1)
    else:
        products = [form.node("Gemm", [dy, part], f"{part}.product", transB=1) for part in seen]
        form.node("Concat", products, "dw", axis=1)
    return form.session()


def by_patches(channels, filters, side):
    form = Form(channels, filters, side)

    def product(x, weights, inputs, outputs, name):
        last = form.transpose(x, 0, 2, 3, 1)
        patches = form.node("Concat", list(form.slices(last, 1)), f"{x}.patches", axis=3)
        patches = form.reshape(patches, -1, 9 * inputs)
        matrix = form.reshape(form.transpose(weights, 0, 2, 3, 1), outputs, 9 * inputs)
        rows = form.node("Gemm", [patches, matrix], f"{name}.rows", transB=1)
        form.node("Transpose", [form.reshape(rows, BATCH, side, side, outputs)], name, perm=[0, 3, 1, 2])
        return last, patches

    _, patches = product("x", "w", channels, filters, "y")
    last, _ = product("dy", form.turned_weights(), filters, channels, "dx")
    form.node("Gemm", [form.reshape(last, -1, filters), patches], "dw", transA=1)
    return form.session()


random = np.random.default_rng(1)
print(f"batch {BATCH}; ms, the second fastest of {ROUNDS} rounds")
for channels, filters, side in SHAPES:
    sizes = {"x": (BATCH, channels, side, side), "w": (filters, channels, 3, 3), "dy": (BATCH, filters, side, side)}
    given = {name: random.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    forms = {"Conv": by_conv(channels, filters, side), "patches": by_patches(channels, filters, side)}
    first, second = (form.run(["y", "dx"], given) for form in forms.values())
    assert all(np.allclose(a, b, atol=1e-3 * np.abs(a).max()) for a, b in zip(first, second))
    times = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, form in forms.items():
            start = time.perf_counter()
            form.run(OUTPUTS, given)
            times[name].append(1e3 * (time.perf_counter() - start))
    conv, patches = (sorted(taken)[1] for taken in times.values())
    print(f"{channels:4} → {filters:4} at {side:2}²: Conv {conv:7.1f}, patches {patches:7.1f}, {conv / patches:.2f} times as fast")
