"""The package as a host uses it. `SONOTAP_MODEL` names the model folder."""

import os
import threading
import unittest

import numpy as np

import sonotap

MODEL = os.environ["SONOTAP_MODEL"]
PERIOD_NS = 33_333_333


def simulated(n: int) -> np.ndarray:
    y, x = np.mgrid[0:240, 0:320]
    inside = ((x - 160 - n) / 48) ** 2 + ((y - 120) / 34) ** 2 < 1
    noise = np.random.default_rng(n).integers(0, 60, (240, 320))
    return (np.where(inside, 6, 90) + noise).astype(np.uint8)


def outlined(session: sonotap.Session, frames: int = 8) -> list:
    """Objects of the scenes, as computed by steps; the tap comes with the third frame."""
    objects = []
    for n in range(frames):
        session.set_now_ns(PERIOD_NS * (n + 1))
        session.push(simulated(n), content=sonotap.Content.BMODE, mm_per_px=(0.2, 0.2), host_id=n)
        if n == 2:
            session.tap(160 + n, 120, 1)
        for _ in range(2):
            scene = session.poll()
            if scene is not None:
                if scene.objects:
                    objects.append((scene, session.object(0), session.mask(0, scene) if session.object(0).rings else None))
                session.presented(scene)
            if not session.step():
                break
    return objects


class Host(unittest.TestCase):
    def setUp(self) -> None:
        self.model = sonotap.Model(MODEL)

    def test_a_tap_becomes_an_outline_with_its_mask_and_measurements(self) -> None:
        with self.model.open(stepped=True, host_clock=True) as session:
            found = [(s, o, m) for s, o, m in outlined(session) if o.overlay == sonotap.Overlay.EXACT]
            self.assertGreaterEqual(len(found), 3)
            scene, thing, mask = found[-1]
            self.assertEqual((scene.width, scene.height, mask.shape, mask.dtype), (320, 240, (240, 320), np.dtype(bool)))
            self.assertLess(abs(mask.sum() - thing.px["area"]), 0.03 * thing.px["area"])
            self.assertLess(abs(thing.mm["area"] - 0.04 * thing.px["area"]), 0.01 * thing.mm["area"])
            self.assertTrue(mask[120, 160 + scene.host_id])
            self.assertEqual((thing.rings[0].shape[1], thing.markers[0].kind), (2, 1))
            self.assertIn("late_under_live", session.report()["deadline"])

    def test_two_runs_give_the_same_bits(self) -> None:
        runs = []
        for _ in range(2):
            with self.model.open(stepped=True, host_clock=True) as session:
                runs.append([ring.tobytes() for _, o, _ in outlined(session) for ring in o.rings])
        self.assertEqual(runs[0], runs[1])
        self.assertTrue(runs[0])

    def test_strided_views_are_pushed_as_they_are_seen(self) -> None:
        with self.model.open(stepped=True, host_clock=True) as session:
            whole = np.arange(100 * 120, dtype=np.uint32).astype(np.uint8).reshape(100, 120)
            colour = np.stack([whole, whole, whole], axis=2)
            for n, view in enumerate([whole[10:60, 20:90], whole[::2, ::2], whole.T, colour[5:50, 7:80], colour[::-1]]):
                session.set_now_ns(PERIOD_NS * (n + 1))
                session.push(view)
                scene = session.poll()
                np.testing.assert_array_equal(session.frame(scene, colour=view.ndim == 3), view)
                session.presented(scene)

    def test_pictures_are_drawn_whole_and_over_the_hosts_own(self) -> None:
        with self.model.open(stepped=True, host_clock=True) as session:
            session.set_now_ns(PERIOD_NS)
            session.push(simulated(0))
            scene = session.poll()
            screen = session.draw_screen(800, 480)
            self.assertEqual((screen.shape, screen.any()), ((480, 800, 3), True))
            host = np.full((300, 400, 3), 40, np.uint8)
            self.assertTrue(session.draw_overlay(host, place=(40, 30, 320, 240)))
            self.assertTrue((host != 40).any() and (host[:30] == 40).all() and (host[:, :40] == 40).all())
            session.set_now_ns(scene.due_ns + 1)
            self.assertFalse(session.hand_over(scene))
            self.assertIsNone(session.draw_screen(800, 480))

    def test_errors_are_exceptions_with_the_librarys_words(self) -> None:
        with self.assertRaisesRegex(sonotap.Error, "E_IO: /nowhere: manifest.toml"):
            sonotap.Model("/nowhere")
        with self.assertRaisesRegex(sonotap.Error, "E_MEMORY"):
            self.model.open(memory_max_bytes=1 << 20)
        session = self.model.open(stepped=True)
        with self.assertRaisesRegex(ValueError, "uint8"):
            session.push(np.zeros((4, 4), np.float32))
        with self.assertRaisesRegex(sonotap.Error, "E_ARGUMENT"):
            session.tap(float("nan"), 0)
        session.close()
        session.close()
        with self.assertRaisesRegex(sonotap.Error, "E_HANDLE"):
            session.poll()

    def test_a_model_from_memory_is_the_one_from_its_folder(self) -> None:
        names = ("manifest.toml", "encoder.onnx", "decoder.onnx", "MODEL_CARD.md")
        files = {}
        for name in names:
            with open(os.path.join(MODEL, name), "rb") as file:
                files[name] = file.read()
        self.assertEqual(sonotap.Model(files).describe(), self.model.describe())

    def test_a_host_with_threads_is_woken(self) -> None:
        woken = threading.Event()
        with self.model.open(wake=woken.set) as session:
            pusher = threading.Thread(target=lambda: session.push(simulated(0)))
            pusher.start()
            pusher.join()
            self.assertTrue(woken.wait(10))
            session.wait(0.01)
            session.poll()
        self.assertGreater(sonotap.memory_bytes(), 0)
        self.assertRegex(sonotap.version(), r"^\d+\.\d+\.\d+$")


if __name__ == "__main__":
    unittest.main()
