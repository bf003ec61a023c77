/* With a library built with the feature `faults`: a panic is a status, and nothing is printed: `panics MODEL`. */
#include <sonotap.h>
#include <string.h>

void sonotap_inject_panic(const char *place);

int main(int argc, char **argv) {
    static unsigned char grey[64 * 64];
    sonotap_model *model;
    sonotap_session *session;
    sonotap_config config;
    sonotap_frame frame;
    sonotap_scene scene;
    int n;
    if (argc != 2) return 2;
    sonotap_inject_panic("model");
    if (sonotap_model_from_folder(argv[1], &model) != SONOTAP_E_PANIC) return 3;
    if (sonotap_model_from_folder(argv[1], &model) != SONOTAP_OK) return 4;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    memset(&frame, 0, sizeof frame);
    frame.struct_size = sizeof frame;
    frame.fourcc = SONOTAP_FOURCC('G', 'R', 'E', 'Y');
    frame.width = frame.height = 64;
    frame.plane[0] = grey;
    frame.plane_bytes[0] = sizeof grey;
    memset(&scene, 0, sizeof scene);
    scene.struct_size = sizeof scene;
    for (n = 0; n < 3; n++) {
        static const char *places[] = {"push", "poll", "step"};
        config.flags = SONOTAP_STEPPED;
        if (sonotap_open(model, &config, &session) != SONOTAP_OK) return 5;
        sonotap_inject_panic(places[n]);
        sonotap_status got[3];
        got[0] = sonotap_push_frame(session, &frame, NULL);
        got[1] = sonotap_poll(session, &scene);
        got[2] = sonotap_step(session);
        if (got[n] != SONOTAP_E_PANIC) return 6;
        if (sonotap_poll(session, &scene) != SONOTAP_E_PANIC) return 7;
        if (sonotap_close(session) != SONOTAP_OK) return 8;
    }
    /* On the session's own thread: it is started again. */
    config.flags = 0;
    if (sonotap_open(model, &config, &session) != SONOTAP_OK) return 9;
    sonotap_inject_panic("predict");
    for (n = 0; n < 40; n++) {
        grey[n] ^= 255;
        sonotap_push_frame(session, &frame, NULL);
        if (n == 5) sonotap_tap(session, 32.0f, 32.0f, 1, 0, 0);
        sonotap_wait(session, 20000);
        if (sonotap_poll(session, &scene) == SONOTAP_OK) sonotap_presented(session, scene.ticket, 0);
    }
    return sonotap_close(session) == SONOTAP_OK ? 0 : 10;
}
