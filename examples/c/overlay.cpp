// A host that draws its own picture and lets sonotap draw over it, with threads: a probe pushes, the display polls. C++17.
//
//   c++ -std=c++17 overlay.cpp $(pkg-config --cflags --libs sonotap) -pthread -o overlay
//   ./overlay MODEL_FOLDER picture.ppm
#include <sonotap.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr unsigned width = 320, height = 240, margin = 40;

template <typename T> T sized() {
    T value{};
    value.struct_size = sizeof(T);
    return value;
}

sonotap_status must(sonotap_status status) {
    if (status >= 0) return status;
    std::string text(512, '\0');
    text.resize(std::min(sonotap_last_error(&text[0], text.size()), text.size() - 1));
    throw std::runtime_error(std::string(sonotap_status_name(status)) + ": " + text);
}

struct close_session {
    void operator()(sonotap_session *s) const { sonotap_close(s); }
};
using session_ptr = std::unique_ptr<sonotap_session, close_session>;

session_ptr open(const char *folder) {
    sonotap_model *model = nullptr;
    sonotap_session *session = nullptr;
    must(sonotap_model_from_folder(folder, &model));
    auto config = sized<sonotap_config>();
    const auto status = sonotap_open(model, &config, &session);
    sonotap_model_free(model);
    must(status);
    return session_ptr(session);
}

std::vector<unsigned char> simulated(unsigned &random, float x) {
    std::vector<unsigned char> grey(width * height);
    for (unsigned j = 0; j < height; j++) {
        for (unsigned i = 0; i < width; i++) {
            const float dx = (static_cast<float>(i) - x) / 48.0f, dy = (static_cast<float>(j) - 120.0f) / 34.0f;
            random = random * 1664525u + 1013904223u;
            grey[j * width + i] = static_cast<unsigned char>((dx * dx + dy * dy < 1.0f ? 6u : 90u) + (random >> 26));
        }
    }
    return grey;
}

void push_frames(sonotap_session *session, const std::atomic<bool> &is_ended) {
    unsigned random = 1;
    for (std::uint64_t n = 0; !is_ended; n++) {
        const auto grey = simulated(random, 160.0f + static_cast<float>(n % 40));
        auto frame = sized<sonotap_frame>();
        frame.fourcc = SONOTAP_FOURCC('G', 'R', 'E', 'Y');
        frame.width = width;
        frame.height = height;
        frame.plane[0] = grey.data();
        frame.plane_bytes[0] = grey.size();
        frame.host_id = n;
        if (sonotap_push_frame(session, &frame, nullptr) < 0) return;
        std::this_thread::sleep_for(std::chrono::milliseconds(33));
    }
}

// Two pictures for a display that shows them side by side: ours, with its frame drawn by us and the overlay by sonotap.
unsigned show(sonotap_session *session, std::vector<unsigned char> &rgb) {
    const unsigned w = width + 2 * margin, h = height + 2 * margin;
    std::vector<unsigned char> image(3 * width * height);
    unsigned outlined = 0;
    for (unsigned turn = 0; turn < 2000 && outlined < 10; turn++) {
        must(sonotap_wait(session, 5000));
        if (turn % 100 == 20) must(sonotap_tap(session, 165.0f, 120.0f, 1, 0, 0));
        auto scene = sized<sonotap_scene>();
        if (must(sonotap_poll(session, &scene)) != SONOTAP_OK) continue;
        auto picture = sized<sonotap_picture>();
        picture.fourcc = SONOTAP_FOURCC('R', 'G', 'B', '3');
        picture.width = width;
        picture.height = height;
        picture.pixels = image.data();
        picture.bytes = image.size();
        if (must(sonotap_get_frame(session, &picture)) != SONOTAP_OK) continue;
        std::vector<unsigned char> drawn(3 * w * h, 30);
        for (unsigned y = 0; y < height; y++) {
            std::copy_n(&image[3 * y * width], 3 * width, &drawn[3 * ((y + margin) * w + margin)]);
        }
        picture.width = w;
        picture.height = h;
        picture.pixels = drawn.data();
        picture.bytes = drawn.size();
        picture.place = {margin, margin, width, height};
        if (must(sonotap_draw(session, SONOTAP_DRAW_OVERLAY, &picture)) != SONOTAP_OK) continue;
        must(sonotap_presented(session, scene.ticket, 0));
        auto object = sized<sonotap_object>();
        const bool has = scene.objects > 0 && sonotap_get_object(session, 0, &object) == SONOTAP_OK;
        if (has && object.points > 0) {
            outlined++;
            rgb = drawn;
        }
    }
    return outlined;
}

} // namespace

int main(int argc, char **argv) try {
    if (argc != 3) {
        std::fprintf(stderr, "usage: %s MODEL_FOLDER picture.ppm\n", argv[0]);
        return 2;
    }
    const auto session = open(argv[1]);
    std::atomic<bool> is_ended{false};
    std::thread probe(push_frames, session.get(), std::cref(is_ended));
    std::vector<unsigned char> rgb;
    unsigned outlined = 0;
    try {
        outlined = show(session.get(), rgb);
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
    }
    is_ended = true;
    probe.join();
    std::printf("%u pictures with an outline\n", outlined);
    if (outlined == 0) return 1;
    std::ofstream file(argv[2], std::ios::binary);
    file << "P6\n" << width + 2 * margin << " " << height + 2 * margin << "\n255\n";
    file.write(reinterpret_cast<const char *>(rgb.data()), static_cast<std::streamsize>(rgb.size()));
    return file.flush() ? 0 : 1;
} catch (const std::exception &e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
}
