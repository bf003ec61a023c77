"""make.py: convolutions of ONNX Runtime's QLinearConv on signed bytes, for src/int8/tests.rs (conv.json beside this file).

Needs numpy, onnx, onnxruntime. Signed activations: on unsigned ones ONNX Runtime may differ by 2 steps (saturating instructions).
"""
import json
from pathlib import Path
import numpy as np
import onnx, onnxruntime
from onnx import TensorProto, helper as h, numpy_helper as nh

rng = np.random.default_rng(20261127)


def case(inputs, outputs, height, width, kernel, stride, before, after, depthwise):
    x = rng.integers(-128, 128, (1, inputs, height, width), dtype=np.int8)
    each = 1 if depthwise else inputs
    w = rng.integers(-127, 128, (outputs, each, kernel, kernel), dtype=np.int8)
    bias = rng.integers(-9000, 9000, outputs, dtype=np.int32)
    x_scale, y_scale = np.float32(rng.uniform(.01, .05)), np.float32(rng.uniform(.01, .05))
    x_zero, y_zero = np.int8(rng.integers(-128, 128)), np.int8(rng.integers(-60, 60))
    w_scales = (rng.uniform(.3, 1.5, outputs) * .02 / np.sqrt(each * kernel * kernel)).astype(np.float32)
    constants = {"xs": x_scale, "xz": x_zero, "w": w, "ws": w_scales, "wz": np.zeros(outputs, np.int8), "ys": y_scale, "yz": y_zero, "b": bias}
    node = h.make_node("QLinearConv", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"], ["y"], kernel_shape=[kernel] * 2,
                       strides=[stride] * 2, pads=[before, before, after, after], group=inputs if depthwise else 1)
    graph = h.make_graph([node], "conv", [h.make_tensor_value_info("x", TensorProto.INT8, x.shape)],
                         [h.make_tensor_value_info("y", TensorProto.INT8, None)],
                         [nh.from_array(np.asarray(v), k) for k, v in constants.items()])
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)])
    model.ir_version = 8
    y, = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    rows = lambda t: np.transpose(t[0], (1, 2, 0)).ravel().tolist()
    return {"shape": [inputs, height, width], "outputs": outputs, "kernel": kernel, "stride": stride, "before": before, "after": after,
            "is_depthwise": depthwise, "x_scale": float(x_scale), "x_zero": int(x_zero), "y_scale": float(y_scale), "y_zero": int(y_zero),
            "scales": [float(s) for s in w_scales], "bias": bias.tolist(), "kernels": w.ravel().tolist(), "x": rows(x), "y": rows(y)}


cases = [
    case(12, 20, 3, 4, 1, 1, 0, 0, False),
    case(3, 9, 7, 5, 3, 2, 0, 1, False),
    case(18, 18, 5, 4, 3, 1, 1, 1, True),
    case(9, 9, 6, 7, 5, 1, 2, 2, True),
    case(10, 10, 6, 6, 3, 2, 0, 1, True),
    case(8, 8, 6, 6, 5, 2, 1, 2, True),
]
out = Path(__file__).with_name("conv.json")
out.write_text(json.dumps({"onnxruntime": onnxruntime.__version__, "cases": cases}, separators=(",", ":")) + "\n")
print(out, out.stat().st_size)
