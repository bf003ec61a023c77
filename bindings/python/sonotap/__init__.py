"""A tap on an ultrasound image becomes a tracked, measured outline. Not for diagnostic use.

    import numpy as np, sonotap
    model = sonotap.Model("models/student")
    with model.open(stepped=True, host_clock=True) as session:
        session.set_now_ns(33_333_333)
        session.push(np.zeros((240, 320), np.uint8))
        scene = session.poll()
        session.tap(160, 120)
        ...

Functions are those of sonotap.h, and so are their rules: push, tap, box and commands from any thread; everything that reads a scene from
one thread at a time. Errors are exceptions; outcomes are values.
"""

from __future__ import annotations

import ctypes as c
import json
import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Command", "Content", "Error", "Marker", "Mode", "Model", "Object", "Overlay", "Scene", "Session", "Signal",
    "memory_bytes", "set_log", "version",
]

Grey = NDArray[np.uint8]
ABI = 0


class Error(Exception):
    """A status below 0, with the library's own words."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.name = _library().sonotap_status_name(status).decode()
        super().__init__(f"{self.name}: {text}")


class Outcome(IntEnum):
    OK = 0
    NOTHING_NEW = 1
    REPLACED = 2
    MORE = 3
    LATE = 4
    NO_ROOM = 5


class Mode(IntEnum):
    LIVE = 0
    FROZEN = 1
    REVIEW = 2


class Signal(IntEnum):
    GOOD = 0
    MISSING = 1
    REPEATING = 2
    DELAYED = 3
    LATE = 4


class Overlay(IntEnum):
    EXACT = 1
    CARRIED = 2
    STALE = 3
    HIDDEN = 4
    LOST = 5


class Content(IntEnum):
    UNKNOWN = 0
    BMODE = 1
    BMODE_COLOUR = 2
    COLOUR = 3
    SPECTRUM = 4
    MMODE = 5
    TRACE = 6


class ScaleSource(IntEnum):
    DEVICE = 0
    DICOM = 1
    TWO_POINT = 2
    PHANTOM = 3


class Command(IntEnum):
    UNDO = 1
    REDO = 2
    CLEAR = 3
    TOGGLE_FREEZE = 4
    FREEZE = 5
    UNFREEZE = 6
    STEP_BACK = 7
    STEP_FORWARD = 8
    SCRUB = 9
    NEW_OBJECT = 10
    SELECT = 11
    TOOL_INCLUDE = 12
    TOOL_EXCLUDE = 13
    CYCLE_FILL = 14
    HIDE_OVERLAY = 15
    NEXT_CANDIDATE = 16
    EASE = 17


_u32, _u64, _f32, _f64 = c.c_uint32, c.c_uint64, c.c_float, c.c_double
_LOG = c.CFUNCTYPE(None, c.c_void_p, c.c_int32, c.c_char_p)
_WAKE = c.CFUNCTYPE(None, c.c_void_p)


def _fields(kind: Any, names: str) -> List[Tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


class _Blob(c.Structure):
    _fields_ = [("name", c.c_char_p), ("bytes", c.c_char_p), ("len", c.c_size_t)]


class _Rect(c.Structure):
    _fields_ = _fields(_f32, "x y w h")


class _Config(c.Structure):
    _fields_ = [
        *_fields(_u32, "struct_size flags period_us deadline_us refresh_us frame_width_max frame_height_max keep_out_count "
                       "screen_width screen_height"),
        ("screen_dpi", _f32), ("reserved", _u32), *_fields(_u64, "cine_bytes memory_max_bytes"),
        ("keep_outs", c.POINTER(_Rect)), ("preset", c.c_char_p), ("wake", _WAKE), ("wake_user", c.c_void_p),
    ]


class _Frame(c.Structure):
    _fields_ = [
        *_fields(_u32, "struct_size fourcc width height"), ("stride", _u32 * 2), ("plane", c.c_void_p * 2),
        ("plane_bytes", c.c_size_t * 2), *_fields(_u64, "host_id time_ns"), *_fields(_u32, "time_kind content"),
        *_fields(_f32, "mm_per_px_x mm_per_px_y"), *_fields(_u32, "scale_source is_full_range is_bt709 reserved"),
        ("region", _Rect),
    ]


class _Scene(c.Structure):
    _fields_ = [
        *_fields(_u32, "struct_size objects"), *_fields(_u64, "ticket frame_id host_id captured_ns due_ns age_ns live_tick"),
        *_fields(_u32, "width height mode signal notice notice_object notice_reason tool fill can_undo can_redo is_hot "
                       "cine_index cine_len"),
    ]


class _Object(c.Structure):
    _fields_ = [
        *_fields(_u32, "struct_size object is_active overlay reason points rings markers"), ("prediction_age_ns", _u64),
        ("has_score", _u32), ("score", _f32), *_fields(_u32, "is_measured is_metric scale_source reserved"),
        *_fields(_f64, "area_px perimeter_px major_px minor_px longest_px perpendicular_px area_mm2 perimeter_mm major_mm "
                       "minor_mm longest_mm perpendicular_mm"),
    ]


class _Marker(c.Structure):
    _fields_ = [*_fields(_u32, "struct_size kind"), ("rect", _Rect)]


class _Picture(c.Structure):
    _fields_ = [
        *_fields(_u32, "struct_size fourcc width height stride"), ("dpi", _f32), ("pixels", c.c_void_p),
        ("bytes", c.c_size_t), ("place", _Rect),
    ]


@dataclass(frozen=True)
class Scene:
    """What there is to draw; all of it belongs to one frame."""

    objects: int
    ticket: int
    frame_id: int
    host_id: int
    captured_ns: int
    due_ns: int
    age_ns: int
    live_tick: int
    width: int
    height: int
    mode: Mode
    signal: Signal
    notice: int
    notice_object: int
    notice_reason: int
    can_undo: bool
    can_redo: bool
    is_hot: bool
    cine_index: int
    cine_len: int


@dataclass(frozen=True)
class Marker:
    """A tap (width and height 0) or box; kind: 1 includes, 2 excludes, 3 box."""

    kind: int
    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class Object:
    """One object. `rings` are its closed outlines, [N, 2] image px, holes running the other way; none unless it is drawn."""

    object: int
    is_active: bool
    overlay: Overlay
    reason: int
    prediction_age_ns: int
    score: Optional[float]
    rings: List[NDArray[np.float32]]
    markers: List[Marker]
    px: Optional[Dict[str, float]]
    mm: Optional[Dict[str, float]]
    scale_source: Optional[ScaleSource]


def _fourcc(name: str) -> int:
    return int.from_bytes(name.encode("ascii"), "little")


_loaded: Optional[c.CDLL] = None


def _library() -> c.CDLL:
    global _loaded
    if _loaded is not None:
        return _loaded
    beside = Path(__file__).with_name(f"libsonotap.so.{ABI}")
    named = os.environ.get("SONOTAP_LIBRARY")
    name = named or (str(beside) if beside.exists() else f"libsonotap.so.{ABI}")
    library = c.CDLL(name)
    if library.sonotap_abi() != ABI:
        raise ImportError(f"{name}: expected ABI {ABI}, got {library.sonotap_abi()}")
    text, handle, status = c.c_char_p, c.c_void_p, c.c_int32
    sizes = c.POINTER(c.c_size_t)
    signatures: Dict[str, Tuple[Any, List[Any]]] = {
        "version": (text, []),
        "status_name": (text, [status]),
        "last_error": (c.c_size_t, [text, c.c_size_t]),
        "set_log": (status, [_LOG, handle, status]),
        "memory_bytes": (_u64, []),
        "model_from_folder": (status, [text, c.POINTER(handle)]),
        "model_from_memory": (status, [c.POINTER(_Blob), c.c_size_t, c.POINTER(handle)]),
        "model_describe": (status, [handle, text, c.c_size_t, sizes]),
        "model_free": (status, [handle]),
        "open": (status, [handle, c.POINTER(_Config), c.POINTER(handle)]),
        "close": (status, [handle]),
        "now_ns": (_u64, [handle]),
        "set_now_ns": (status, [handle, _u64]),
        "push_frame": (status, [handle, c.POINTER(_Frame), c.POINTER(_u64)]),
        "signal_lost": (status, [handle]),
        "tap": (status, [handle, _f32, _f32, c.c_int32, _u64, _u64]),
        "box": (status, [handle, _f32, _f32, _f32, _f32, _u64, _u64]),
        "command": (status, [handle, _u32, _f32]),
        "contact": (status, [handle, _u32, _u32, _f32, _f32, _f32, _u64]),
        "new_exam": (status, [handle]),
        "poll": (status, [handle, c.POINTER(_Scene)]),
        "wait": (status, [handle, _u32]),
        "step": (status, [handle]),
        "get_object": (status, [handle, _u32, c.POINTER(_Object)]),
        "get_outline": (status, [handle, _u32, handle, c.c_size_t, handle, c.c_size_t]),
        "get_marker": (status, [handle, _u32, _u32, c.POINTER(_Marker)]),
        "get_mask": (status, [handle, _u32, c.POINTER(_Picture)]),
        "get_frame": (status, [handle, c.POINTER(_Picture)]),
        "draw": (status, [handle, _u32, c.POINTER(_Picture)]),
        "hand_over": (status, [handle, _u64]),
        "presented": (status, [handle, _u64, _u64]),
        "withheld": (status, [handle, _u64]),
        "report": (status, [handle, text, c.c_size_t, sizes]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"sonotap_{name}")
        function.restype, function.argtypes = result, arguments
    _loaded = library
    return library


def _call(name: str, *arguments: Any) -> int:
    library = _library()
    status: int = getattr(library, f"sonotap_{name}")(*arguments)
    if status < 0:
        text = c.create_string_buffer(1024)
        library.sonotap_last_error(text, len(text))
        raise Error(status, text.value.decode("utf-8", "replace"))
    return status


def _text(name: str, handle: c.c_void_p) -> str:
    needed, cap = c.c_size_t(0), 4096
    while True:
        buffer = c.create_string_buffer(cap)
        if _call(name, handle, buffer, cap, c.byref(needed)) != Outcome.MORE:
            return buffer.value.decode()
        cap = needed.value + 256


def version() -> str:
    """Of the library."""
    return str(_library().sonotap_version().decode())


def memory_bytes() -> int:
    """Heap that the library holds now."""
    return int(_library().sonotap_memory_bytes())


_log: Any = _LOG(0)


def set_log(log: Optional[Callable[[int, str], None]], level_max: int = 2) -> None:
    """Sends log lines (1 errors, 2 warnings, 3 information) to `log`, from any thread; None ends it."""
    global _log
    callback = _LOG(0) if log is None else _LOG(lambda _, level, text: log(level, text.decode("utf-8", "replace")))
    _call("set_log", callback, None, level_max)
    _log = callback


class Model:
    """A model from a folder, or from memory: a mapping from file names to bytes with "manifest.toml" and the files that it names."""

    def __init__(self, source: Union[str, os.PathLike[str], Mapping[str, bytes]]) -> None:
        handle = c.c_void_p()
        self._handle = handle
        if isinstance(source, Mapping):
            blobs = (_Blob * len(source))(*(_Blob(name.encode(), data, len(data)) for name, data in source.items()))
            _call("model_from_memory", blobs, len(source), c.byref(handle))
        else:
            _call("model_from_folder", os.fspath(source).encode(), c.byref(handle))

    def describe(self) -> Dict[str, Any]:
        """The manifest: name, licence, intended and excluded use, digests, training data, accuracy."""
        described: Dict[str, Any] = json.loads(_text("model_describe", self._handle))
        return described

    def open(
        self,
        *,
        stepped: bool = False,
        host_clock: bool = False,
        grey: bool = False,
        mirrored: bool = False,
        period_us: int = 0,
        deadline_us: int = 0,
        refresh_us: int = 0,
        cine_bytes: int = 0,
        memory_max_bytes: int = 0,
        frame_max: Tuple[int, int] = (0, 0),
        screen: Tuple[int, int] = (0, 0),
        screen_dpi: float = 0.0,
        preset: Optional[str] = None,
        keep_outs: Tuple[Tuple[float, float, float, float], ...] = (),
        wake: Optional[Callable[[], None]] = None,
    ) -> Session:
        """Opens a session; see sonotap_config."""
        config = _Config(
            struct_size=c.sizeof(_Config),
            flags=stepped * 1 | host_clock * 2 | grey * 4 | mirrored * 8,
            period_us=period_us, deadline_us=deadline_us, refresh_us=refresh_us, cine_bytes=cine_bytes,
            memory_max_bytes=memory_max_bytes, frame_width_max=frame_max[0], frame_height_max=frame_max[1],
            screen_width=screen[0], screen_height=screen[1], screen_dpi=screen_dpi,
            preset=None if preset is None else preset.encode(),
        )
        rects = (_Rect * len(keep_outs))(*(_Rect(*r) for r in keep_outs))
        if keep_outs:
            config.keep_outs, config.keep_out_count = rects, len(keep_outs)
        callback = _WAKE(0) if wake is None else _WAKE(lambda _: wake())
        config.wake = callback
        handle = c.c_void_p()
        _call("open", self._handle, c.byref(config), c.byref(handle))
        return Session(handle, callback)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) and _loaded is not None:
            _loaded.sonotap_model_free(self._handle)


def _rows(array: Grey) -> Grey:
    """The same pixels with dense rows beside each other, which numpy views may not have."""
    array = np.asarray(array)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"expected uint8 of [H, W] or [H, W, 3], got {array.dtype} of {list(array.shape)}")
    is_row = array.strides[-1] == 1 and (array.ndim == 2 or array.strides[1] == 3) and array.strides[0] > 0
    return array if is_row else np.ascontiguousarray(array)


class Session:
    """One live picture, its taps and its outlines. Close it, or use it as a context."""

    def __init__(self, handle: c.c_void_p, wake: Any) -> None:
        self._handle = handle
        self._wake = wake

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session; doing it twice does nothing."""
        handle, self._handle = self._handle, c.c_void_p()
        if handle.value:
            _call("close", handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) and _loaded is not None:
            _loaded.sonotap_close(self._handle)

    def now_ns(self) -> int:
        """The session's clock."""
        return int(_library().sonotap_now_ns(self._handle))

    def set_now_ns(self, now_ns: int) -> None:
        """Sets the clock of a session opened with host_clock."""
        _call("set_now_ns", self._handle, now_ns)

    def push(
        self,
        pixels: Grey,
        *,
        host_id: int = 0,
        time_ns: int = 0,
        time_kind: int = 0,
        content: Content = Content.UNKNOWN,
        mm_per_px: Optional[Tuple[float, float]] = None,
        scale_source: ScaleSource = ScaleSource.DEVICE,
        region: Optional[Tuple[float, float, float, float]] = None,
    ) -> int:
        """Copies a frame in, uint8 of [H, W] grey or [H, W, 3] RGB; rows may have a stride. Returns its number, 0 when there was
        no room for it. `region` is x, y, w, h."""
        rows = _rows(pixels)
        frame = _Frame(
            struct_size=c.sizeof(_Frame), fourcc=_fourcc("GREY" if rows.ndim == 2 else "RGB3"),
            width=rows.shape[1], height=rows.shape[0], host_id=host_id, time_ns=time_ns, time_kind=time_kind,
            content=int(content), scale_source=int(scale_source),
        )
        channels = 1 if rows.ndim == 2 else 3
        frame.stride[0] = max(rows.strides[0], channels * rows.shape[1])
        frame.plane[0] = rows.ctypes.data
        frame.plane_bytes[0] = frame.stride[0] * (rows.shape[0] - 1) + channels * rows.shape[1]
        if mm_per_px is not None:
            frame.mm_per_px_x, frame.mm_per_px_y = mm_per_px
        if region is not None:
            frame.region = _Rect(*region)
        number = _u64(0)
        _call("push_frame", self._handle, c.byref(frame), c.byref(number))
        return number.value

    def signal_lost(self) -> None:
        """A cable was pulled: outlines are hidden until a frame comes in."""
        _call("signal_lost", self._handle)

    def tap(self, x: float, y: float, polarity: int = 0, shown: int = 0, at_ns: int = 0) -> None:
        """A tap on the frame numbered `shown` (0: the one shown now): 1 includes, -1 excludes, 0 as the tool says."""
        _call("tap", self._handle, x, y, polarity, shown, at_ns)

    def box(self, x0: float, y0: float, x1: float, y1: float, shown: int = 0, at_ns: int = 0) -> None:
        """A box around the active object."""
        _call("box", self._handle, x0, y0, x1, y1, shown, at_ns)

    def command(self, command: Command, argument: float = 0.0) -> None:
        """A command of the operator."""
        _call("command", self._handle, int(command), argument)

    def new_exam(self) -> None:
        """Another patient."""
        _call("new_exam", self._handle)

    def poll(self) -> Optional[Scene]:
        """What is to be drawn now; None when the picture on the screen may stay."""
        scene = _Scene(struct_size=c.sizeof(_Scene))
        if _call("poll", self._handle, c.byref(scene)) != Outcome.OK:
            return None
        s = scene
        return Scene(
            s.objects, s.ticket, s.frame_id, s.host_id, s.captured_ns, s.due_ns, s.age_ns, s.live_tick, s.width, s.height,
            Mode(s.mode), Signal(s.signal), s.notice, s.notice_object, s.notice_reason, bool(s.can_undo), bool(s.can_redo),
            bool(s.is_hot), s.cine_index, s.cine_len,
        )

    def wait(self, longest_s: float) -> None:
        """Sleeps until there may be something to poll."""
        _call("wait", self._handle, int(longest_s * 1e6))

    def step(self) -> bool:
        """Computes the prediction that is wanted; False when none is. Only with stepped."""
        return _call("step", self._handle) == Outcome.OK

    def object(self, index: int) -> Optional[Object]:
        """An object of the last scene; None when its picture may not be shown any more."""
        o = _Object(struct_size=c.sizeof(_Object))
        if _call("get_object", self._handle, index, c.byref(o)) == Outcome.LATE:
            return None
        points, ends = np.zeros((o.points, 2), np.float32), np.zeros(o.rings, np.uint32)
        late = _call("get_outline", self._handle, index, points.ctypes.data, o.points, ends.ctypes.data, o.rings)
        if late == Outcome.LATE:
            return None
        markers = []
        for i in range(o.markers):
            m = _Marker(struct_size=c.sizeof(_Marker))
            if _call("get_marker", self._handle, index, i, c.byref(m)) == Outcome.OK:
                markers.append(Marker(m.kind, m.rect.x, m.rect.y, m.rect.w, m.rect.h))
        lengths = ("perimeter", "major", "minor", "longest", "perpendicular")
        px = {"area": o.area_px, **{n: getattr(o, n + "_px") for n in lengths}} if o.is_measured else None
        mm = {"area": o.area_mm2, **{n: getattr(o, n + "_mm") for n in lengths}} if o.is_metric else None
        return Object(
            o.object, bool(o.is_active), Overlay(o.overlay), o.reason, o.prediction_age_ns, o.score if o.has_score else None,
            np.split(points, ends[:-1].astype(int)) if o.rings else [], markers, px, mm,
            ScaleSource(o.scale_source) if o.is_metric else None,
        )

    def mask(self, index: int, scene: Scene) -> Optional[NDArray[np.bool_]]:
        """The outline of an object as [H, W] bool; None when its picture may not be shown any more."""
        into = np.zeros((scene.height, scene.width), np.uint8)
        late = _call("get_mask", self._handle, index, c.byref(_picture(into)))
        return None if late == Outcome.LATE else into > 0

    def frame(self, scene: Scene, colour: bool = False) -> Optional[Grey]:
        """The frame of the last scene, which may be an older one of the cine ring."""
        into = np.zeros((scene.height, scene.width, 3) if colour else (scene.height, scene.width), np.uint8)
        late = _call("get_frame", self._handle, c.byref(_picture(into)))
        return None if late == Outcome.LATE else into

    def draw_screen(self, width: int, height: int) -> Optional[Grey]:
        """The whole screen as [H, W, 3]; None when it is too late to show it."""
        into = np.zeros((height, width, 3), np.uint8)
        late = _call("draw", self._handle, 1, c.byref(_picture(into)))
        return None if late == Outcome.LATE else into

    def draw_overlay(
        self, picture: Grey, place: Optional[Tuple[float, float, float, float]] = None, dpi: float = 0.0
    ) -> bool:
        """Draws over `picture`, uint8 of [H, W, 3] with dense pixels, in which the frame fills `place` (x, y, w, h). False when it
        is too late to show it."""
        if picture.ndim != 3 or _rows(picture) is not picture or not picture.flags.writeable:
            raise ValueError("expected a writeable uint8 of [H, W, 3] with dense pixels")
        into = _picture(picture)
        into.dpi = dpi
        if place is not None:
            into.place = _Rect(*place)
        return _call("draw", self._handle, 2, c.byref(into)) == Outcome.OK

    def hand_over(self, scene: Scene) -> bool:
        """Whether the picture of `scene` may still be shown; ask as late as possible."""
        return _call("hand_over", self._handle, scene.ticket) == Outcome.OK

    def presented(self, scene: Scene, lit_ns: int = 0) -> None:
        """The picture was at the glass; 0 for now."""
        _call("presented", self._handle, scene.ticket, lit_ns)

    def withheld(self, scene: Scene) -> None:
        """The picture is not shown."""
        _call("withheld", self._handle, scene.ticket)

    def report(self) -> Dict[str, Any]:
        """Figures so far."""
        report: Dict[str, Any] = json.loads(_text("report", self._handle))
        return report


def _picture(array: Grey) -> _Picture:
    channels = 1 if array.ndim == 2 else 3
    stride = max(array.strides[0], channels * array.shape[1])
    return _Picture(
        struct_size=c.sizeof(_Picture), fourcc=_fourcc("GREY" if channels == 1 else "RGB3"), width=array.shape[1],
        height=array.shape[0], stride=stride, pixels=array.ctypes.data,
        bytes=stride * (array.shape[0] - 1) + channels * array.shape[1],
    )
