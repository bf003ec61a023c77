"""encoder_peer.py RUNTIME ENCODER.onnx [DECODER.onnx]: the same graphs in another runtime (ort, openvino), one thread.

For each line on standard input, a number, it looks at as many images (and answers one click on each, when there is a decoder) and
prints the CPU time of one in ms. Needs onnxruntime or openvino, and numpy.
"""
import sys, time
import numpy as np

runtime, paths = sys.argv[1], sys.argv[2:]


def ort(path):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    run = lambda given: dict(zip(names, session.run(None, given)))
    run.shape = session.get_inputs()[0].shape
    return run


def openvino(path):
    import openvino as ov
    core = ov.Core()
    how = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(core.read_model(path), "CPU", how).create_infer_request()
    names = [o.get_any_name() for o in request.model_outputs]

    def run(given):
        result = request.infer(given)
        return {name: result[i] for i, name in enumerate(names)}
    return run


encoder, *decoder = [{"ort": ort, "openvino": openvino}[runtime](p) for p in paths]
shape = getattr(encoder, "shape", [1, 1, 256, 256])
image = ((np.arange(np.prod(shape)) * 37 % 251) / 251).astype(np.float32).reshape(shape)
asked = {
    "point_coords": np.array([[[120.0, 100.0]]], np.float32),
    "point_labels": np.array([[1.0]], np.float32),
    "prompt_maps": np.zeros((1, 5, 128, 128), np.float32),
}


def one():
    seen = encoder({"image": image})
    for decode in decoder:
        decode({**seen, **asked})


for _ in range(5):
    one()
for line in sys.stdin:
    count, begin = int(line), time.process_time()
    for _ in range(count):
        one()
    print(1e3 * (time.process_time() - begin) / count, flush=True)
