/* Pushes frames, taps, draws, saves. C99.
 *
 *   cc -std=c99 outline.c $(pkg-config --cflags --libs sonotap) -o outline
 *   ./outline MODEL_FOLDER screen.ppm [frame.pgm ...]
 *
 * Without frames it simulates a moving cyst in speckle. Time is simulated, so the picture is the same on every machine. */
#include <sonotap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 320, HEIGHT = 240, FRAMES = 40, SCREEN_W = 800, SCREEN_H = 480 };

static void must(sonotap_status status, const char *what) {
    char text[512];
    if (status >= 0) return;
    sonotap_last_error(text, sizeof text);
    fprintf(stderr, "%s: %s: %s\n", what, sonotap_status_name(status), text);
    exit(1);
}

/* A dark ellipse around (x, y) in bright noise. */
static void simulate(unsigned char *grey, float x, float y) {
    static unsigned int random = 1;
    int i, j;
    for (j = 0; j < HEIGHT; j++) {
        for (i = 0; i < WIDTH; i++) {
            float dx = ((float)i - x) / 48.0f, dy = ((float)j - y) / 34.0f;
            random = random * 1664525u + 1013904223u;
            grey[j * WIDTH + i] = (unsigned char)((dx * dx + dy * dy < 1.0f ? 6u : 90u) + (random >> 26));
        }
    }
}

static int read_pgm(const char *path, unsigned char *grey) {
    int width, height, max;
    FILE *file = fopen(path, "rb");
    int is_read = file != NULL && fscanf(file, "P5 %d %d %d", &width, &height, &max) == 3 && fgetc(file) != EOF
        && width == WIDTH && height == HEIGHT && max == 255 && fread(grey, WIDTH, HEIGHT, file) == HEIGHT;
    if (file != NULL) fclose(file);
    if (!is_read) fprintf(stderr, "%s: expected a binary PGM of %dx%d\n", path, WIDTH, HEIGHT);
    return is_read;
}

static int write_ppm(const char *path, const unsigned char *rgb) {
    FILE *file = fopen(path, "wb");
    int is_written;
    if (file == NULL) return 0;
    fprintf(file, "P6\n%d %d\n255\n", SCREEN_W, SCREEN_H);
    is_written = fwrite(rgb, 3 * SCREEN_W, SCREEN_H, file) == SCREEN_H;
    return fclose(file) == 0 && is_written;
}

int main(int argc, char **argv) {
    static unsigned char grey[WIDTH * HEIGHT], screen[3 * SCREEN_W * SCREEN_H];
    sonotap_model *model;
    sonotap_session *session;
    sonotap_config config;
    int n, outlined = 0, frames = argc > 3 ? argc - 3 : FRAMES;
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL_FOLDER screen.ppm [frame.pgm ...]\n", argv[0]);
        return 2;
    }
    must(sonotap_model_from_folder(argv[1], &model), "model");
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.flags = SONOTAP_STEPPED | SONOTAP_HOST_CLOCK;
    must(sonotap_open(model, &config, &session), "open");
    must(sonotap_model_free(model), "free"); /* the session keeps it */
    for (n = 0; n < frames; n++) {
        float x = 160.0f + (float)n, y = 120.0f;
        sonotap_frame frame;
        sonotap_scene scene;
        int turn;
        if (argc > 3 ? !read_pgm(argv[3 + n], grey) : (simulate(grey, x, y), 0)) return 1;
        must(sonotap_set_now_ns(session, 33333333u * (uint64_t)(n + 1)), "time");
        memset(&frame, 0, sizeof frame);
        frame.struct_size = sizeof frame;
        frame.fourcc = SONOTAP_FOURCC('G', 'R', 'E', 'Y');
        frame.width = WIDTH;
        frame.height = HEIGHT;
        frame.plane[0] = grey;
        frame.plane_bytes[0] = sizeof grey;
        frame.content = SONOTAP_CONTENT_BMODE;
        frame.mm_per_px_x = frame.mm_per_px_y = 0.2f;
        frame.scale_source = SONOTAP_SCALE_PHANTOM;
        must(sonotap_push_frame(session, &frame, NULL), "push");
        if (n == 5) must(sonotap_tap(session, x, y, 1, 0, 0), "tap");
        for (turn = 0; turn < 2; turn++) {
            memset(&scene, 0, sizeof scene);
            scene.struct_size = sizeof scene;
            if (sonotap_poll(session, &scene) == SONOTAP_OK) {
                sonotap_picture picture;
                memset(&picture, 0, sizeof picture);
                picture.struct_size = sizeof picture;
                picture.fourcc = SONOTAP_FOURCC('R', 'G', 'B', '3');
                picture.width = SCREEN_W;
                picture.height = SCREEN_H;
                picture.pixels = screen;
                picture.bytes = sizeof screen;
                sonotap_status drawn = sonotap_draw(session, SONOTAP_DRAW_SCREEN, &picture);
                must(drawn, "draw");
                if (drawn == SONOTAP_OK) must(sonotap_presented(session, scene.ticket, 0), "presented");
                if (scene.objects > 0 && drawn == SONOTAP_OK) {
                    sonotap_object object;
                    memset(&object, 0, sizeof object);
                    object.struct_size = sizeof object;
                    must(sonotap_get_object(session, 0, &object), "object");
                    outlined += object.overlay == SONOTAP_OVERLAY_EXACT && object.points > 0;
                    if (n == frames - 1) printf("area %.1f mm2, score %.2f\n", object.area_mm2, (double)object.score);
                }
            }
            if (sonotap_step(session) != SONOTAP_OK) break;
        }
    }
    must(sonotap_close(session), "close");
    printf("%d frames with an outline computed from themselves\n", outlined);
    if (!write_ppm(argv[2], screen)) {
        fprintf(stderr, "%s: cannot be written\n", argv[2]);
        return 1;
    }
    return argc > 3 || outlined > 0 ? 0 : 1;
}
