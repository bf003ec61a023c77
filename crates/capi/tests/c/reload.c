/* Opens the library by name, uses it, closes it, and does so again: `reload LIBRARY MODEL`. */
#include <dlfcn.h>
#include <sonotap.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    int turn;
    if (argc != 3) return 2;
    for (turn = 0; turn < 2; turn++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        sonotap_status (*load)(const char *, sonotap_model **);
        sonotap_status (*open)(const sonotap_model *, const sonotap_config *, sonotap_session **);
        sonotap_status (*close)(sonotap_session *), (*let_go)(sonotap_model *);
        sonotap_model *model;
        sonotap_session *session;
        void *found[4];
        if (library == NULL) return fprintf(stderr, "%s\n", dlerror()), 3;
        found[0] = dlsym(library, "sonotap_model_from_folder");
        found[1] = dlsym(library, "sonotap_open");
        found[2] = dlsym(library, "sonotap_close");
        found[3] = dlsym(library, "sonotap_model_free");
        memcpy(&load, &found[0], sizeof load);
        memcpy(&open, &found[1], sizeof open);
        memcpy(&close, &found[2], sizeof close);
        memcpy(&let_go, &found[3], sizeof let_go);
        if (load(argv[2], &model) != SONOTAP_OK || open(model, NULL, &session) != SONOTAP_OK) return 4;
        if (close(session) != SONOTAP_OK || let_go(model) != SONOTAP_OK || dlclose(library) != 0) return 5;
    }
    puts("opened, used and closed twice");
    return 0;
}
