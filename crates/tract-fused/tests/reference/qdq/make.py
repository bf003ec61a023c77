"""Quantized networks of others, with random weights, as ONNX Runtime's quantize_static makes them (QDQ, per channel).

    pip install onnx onnxruntime numpy
    python make.py [--large DIR]

Writes mobilenet.onnx (classifier: inverted bottlenecks, global average pool, fully connected), resnet.onnx (image encoder: 7x7
stem, max pool, basic blocks, a strided and a grouped convolution, a neck that goes up again), the same with one node in the
middle that no integer layer knows (foreign.onnx), and exact.onnx, the resnet with scales that are powers of two, for which QDQ
arithmetic in f32 is exact. answers.json: what ONNX Runtime makes of one image. With --large DIR only full-sized ones, for the bench.
"""
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

HERE = Path(__file__).parent


class Net:
    def __init__(self, seed, shape):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants, self.shape, self.n = [], [], shape, 0
        self.channels = {"image": shape[1]}

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op, inputs, channels, **attributes):
        self.n += 1
        y = f"{op.lower()}{self.n}"
        self.nodes.append(helper.make_node(op, inputs, [y], name=y, **attributes))
        self.channels[y] = channels
        return y

    def conv(self, x, outputs, kernel=1, stride=1, group=1, relu=None):
        inputs = self.channels[x] // group
        scale = math.sqrt(2 / (inputs * kernel * kernel))
        w = (self.rng.standard_normal((outputs, inputs, kernel, kernel)) * scale).astype(np.float32)
        b = (self.rng.standard_normal(outputs) * 0.1).astype(np.float32)
        name = f"c{self.n}"
        w, b = self.constant(name + ".w", w), self.constant(name + ".b", b)
        pad = kernel // 2
        y = self.node("Conv", [x, w, b], outputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=group)
        if relu == 6:
            low, high = self.constant(name + ".low", np.float32(0)), self.constant(name + ".high", np.float32(6))
            y = self.node("Clip", [y, low, high], outputs)
        elif relu:
            y = self.node("Relu", [y], outputs)
        return y

    def add(self, a, b):
        return self.node("Add", [a, b], self.channels[a])

    def up(self, x):
        if not any(c.name == "scales" for c in self.constants):
            self.constant("scales", np.array([1, 1, 2, 2], np.float32))
        return self.node("Resize", [x, "", "scales"], self.channels[x], mode="nearest",
                         coordinate_transformation_mode="asymmetric", nearest_mode="floor")

    def finish(self, y, shape):
        for node in self.nodes:
            node.output[:] = ["features" if o == y else o for o in node.output]
        info = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes, "net", [info("image", TensorProto.FLOAT, self.shape)],
                                  [info("features", TensorProto.FLOAT, shape)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def mobilenet(side, width, blocks, foreign=None):
    net = Net(1, [1, 3, side, side])
    x = net.conv("image", 4 * width, 3, 2, relu=6)
    for i, (outputs, stride) in enumerate(blocks):
        inputs = net.channels[x]
        y = net.conv(x, 3 * inputs, relu=6)
        y = net.conv(y, 3 * inputs, 3, stride, group=3 * inputs, relu=6)
        y = net.conv(y, outputs * width)
        x = net.add(x, y) if stride == 1 and inputs == outputs * width else y
        if foreign and i == len(blocks) // 2:
            x = net.node(foreign, [x], net.channels[x])
    x = net.conv(x, 12 * width, relu=6)
    c = net.channels[x]
    x = net.node("GlobalAveragePool", [x], c)
    x = net.node("Flatten", [x], c)
    w = net.constant("fc.w", (net.rng.standard_normal((c, 10)) / math.sqrt(c)).astype(np.float32))
    b = net.constant("fc.b", np.zeros(10, np.float32))
    return net.finish(net.node("Gemm", [x, w, b], 10), [1, 10])


def resnet(side, width, stages, out):
    net = Net(2, [1, 3, side, side])
    x = net.conv("image", width, 7, 2, relu=True)
    x = net.node("MaxPool", [x], width, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    levels = []
    for stage, count in enumerate(stages):
        for i in range(count):
            stride = 2 if stage and i == 0 else 1
            outputs = width << stage
            y = net.conv(x, outputs, 3, stride, relu=True)
            y = net.conv(y, outputs, 3, group=2 if stage == 1 else 1)
            skip = net.conv(x, outputs, 1, stride) if stride == 2 else x
            x = net.node("Relu", [net.add(skip, y)], outputs)
        levels.append(x)
    y = net.conv(levels.pop(), out)
    while levels:
        y = net.add(net.up(y), net.conv(levels.pop(), out))
    y = net.conv(net.up(net.conv(y, out, 3, relu=True)), out, 3)
    return net.finish(y, [1, out, side // 2, side // 2])


def image(shape):
    n = int(np.prod(shape))
    return ((np.arange(n, dtype=np.int64) * 7919 % 1021) / 510.0 - 1.0).astype(np.float32).reshape(shape)


class Images(CalibrationDataReader):
    def __init__(self, shape, count=4):
        rng = np.random.default_rng(3)
        self.all = iter([{"image": image(shape)}] + [{"image": rng.uniform(-1, 1, shape).astype(np.float32)} for _ in range(count)])

    def get_next(self):
        return next(self.all, None)


def quantized(model, path, activations=QuantType.QUInt8):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "f32.onnx"
        onnx.save(model, source)
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        quantize_static(source, path, Images(shape), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=activations, weight_type=QuantType.QInt8)
    made = onnx.load(path)
    del made.graph.value_info[:]
    shorten(made)
    onnx.save(made, path)
    return path


def shorten(model):
    """Names of one or two letters: half of a small file would be names."""
    graph = model.graph
    kept = {v.name for v in [*graph.input, *graph.output]}
    names = {}
    short = lambda name: name if not name or name in kept else names.setdefault(name, f"t{len(names)}")
    for constant in graph.initializer:
        constant.name = short(constant.name)
    for node in graph.node:
        node.input[:] = [short(i) for i in node.input]
        node.output[:] = [short(o) for o in node.output]
        node.name = ""


def exact(source, path):
    """Every scale the nearest power of two, biases in steps of the product."""
    model = onnx.load(source)
    constants = {t.name: t for t in model.graph.initializer}
    values = lambda name: numpy_helper.to_array(constants[name])
    makers = {n.output[0]: n for n in model.graph.node}
    put = lambda name, v: constants[name].CopyFrom(numpy_helper.from_array(v.astype(np.float32), name))
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            put(node.input[1], np.exp2(np.round(np.log2(values(node.input[1])))))
    for node in model.graph.node:
        if node.op_type == "Conv":
            x, w, b = (makers[i] for i in node.input)
            put(b.input[1], values(x.input[1]) * values(w.input[1]))
    onnx.save(model, path)


def answer(path):
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    return session.run(None, {given.name: image(given.shape)})[0]


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--large":
        out = Path(sys.argv[2])
        out.mkdir(parents=True, exist_ok=True)
        blocks = [(2, 1), (3, 2), (3, 1), (4, 2), (4, 1), (4, 1), (8, 2), (8, 1), (8, 1), (12, 1), (12, 1), (20, 2), (20, 1), (20, 1)]
        quantized(mobilenet(224, 8, blocks), out / "mobilenet.onnx")
        quantized(mobilenet(224, 8, blocks, "Elu"), out / "foreign.onnx")
        quantized(resnet(256, 64, [2, 2, 2, 2], 128), out / "resnet.onnx")
        return
    blocks = [(4, 1), (6, 2), (6, 1), (8, 2)]
    quantized(mobilenet(32, 2, blocks), HERE / "mobilenet.onnx")
    quantized(mobilenet(32, 2, blocks, "Elu"), HERE / "foreign.onnx")
    quantized(resnet(32, 8, [1, 1], 8), HERE / "resnet.onnx", QuantType.QInt8)
    exact(HERE / "resnet.onnx", HERE / "exact.onnx")
    names = ["mobilenet", "foreign", "resnet"]
    answers = {name: [round(float(v), 5) for v in answer(HERE / f"{name}.onnx").ravel()[::37 if name == "resnet" else 1]] for name in names}
    (HERE / "answers.json").write_text(json.dumps(answers))


main()
