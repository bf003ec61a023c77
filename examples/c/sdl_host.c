/* A window with sonotap's whole screen: the mouse is the finger. SDL 2.
 *
 *   cc -std=c99 sdl_host.c $(pkg-config --cflags --libs sonotap sdl2) -o sdl_host
 *   ./sdl_host MODEL_FOLDER [SECONDS] */
#include <SDL.h>
#include <sonotap.h>
#include <stdlib.h>
#include <string.h>

enum { W = 800, H = 480, FW = 320, FH = 240 };

static int SDLCALL probe(void *session) {
    static Uint8 grey[FW * FH];
    sonotap_frame frame;
    Uint32 random = 1;
    int n, i;
    memset(&frame, 0, sizeof frame);
    frame.struct_size = sizeof frame;
    frame.fourcc = SONOTAP_FOURCC('G', 'R', 'E', 'Y');
    frame.width = FW, frame.height = FH, frame.plane[0] = grey, frame.plane_bytes[0] = sizeof grey;
    for (n = 0;; n++, SDL_Delay(33)) {
        for (i = 0; i < FW * FH; i++) {
            int x = i % FW - 140 - n % 40, y = i / FW - 120;
            random = random * 1664525u + 1013904223u;
            grey[i] = (Uint8)((x * x / 2 + y * y < 1200 ? 6u : 90u) + (random >> 26));
        }
        if (sonotap_push_frame(session, &frame, NULL) < 0) return 0; /* it was closed */
    }
}

int main(int argc, char **argv) {
    static Uint8 pixels[4 * W * H];
    Uint64 end = argc > 2 ? SDL_GetTicks64() + 1000 * (Uint64)atoi(argv[2]) : (Uint64)-1;
    sonotap_model *model;
    sonotap_session *session;
    SDL_Thread *thread;
    SDL_Event event;
    int shown = 0;
    if (argc < 2 || SDL_Init(SDL_INIT_VIDEO) != 0 || sonotap_model_from_folder(argv[1], &model) < 0) return 2;
    if (sonotap_open(model, NULL, &session) < 0) return 2;
    sonotap_model_free(model);
    SDL_Window *window = SDL_CreateWindow("sonotap", 0, 0, W, H, 0);
    SDL_Renderer *renderer = SDL_CreateRenderer(window, -1, 0);
    SDL_Texture *texture = SDL_CreateTexture(renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING, W, H);
    thread = SDL_CreateThread(probe, "probe", session);
    for (event.type = 0; event.type != SDL_QUIT && SDL_GetTicks64() < end; sonotap_wait(session, 4000)) {
        sonotap_scene scene;
        sonotap_picture picture;
        while (event.type != SDL_QUIT && SDL_PollEvent(&event)) {
            float x = (float)event.button.x, y = (float)event.button.y;
            if (event.type == SDL_MOUSEBUTTONDOWN) sonotap_contact(session, SONOTAP_CONTACT_DOWN, 0, x, y, 0, 0);
            if (event.type == SDL_MOUSEBUTTONUP) sonotap_contact(session, SONOTAP_CONTACT_UP, 0, x, y, 0, 0);
            if (event.type == SDL_MOUSEMOTION && event.motion.state != 0)
                sonotap_contact(session, SONOTAP_CONTACT_MOVE, 0, (float)event.motion.x, (float)event.motion.y, 0, 0);
        }
        memset(&scene, 0, sizeof scene), memset(&picture, 0, sizeof picture);
        scene.struct_size = sizeof scene, picture.struct_size = sizeof picture;
        if (sonotap_poll(session, &scene) != SONOTAP_OK) continue;
        picture.fourcc = SONOTAP_FOURCC('X', 'R', '2', '4');
        picture.width = W, picture.height = H, picture.pixels = pixels, picture.bytes = sizeof pixels;
        if (sonotap_draw(session, SONOTAP_DRAW_SCREEN, &picture) != SONOTAP_OK) continue;
        SDL_UpdateTexture(texture, NULL, pixels, 4 * W);
        SDL_RenderCopy(renderer, texture, NULL, NULL);
        SDL_RenderPresent(renderer);
        sonotap_presented(session, scene.ticket, 0);
        shown++;
    }
    sonotap_close(session);
    SDL_WaitThread(thread, NULL);
    SDL_Quit();
    SDL_Log("%d pictures", shown);
    return shown > 0 ? 0 : 1;
}
