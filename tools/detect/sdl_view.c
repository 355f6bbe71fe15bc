#include <SDL.h>
#include <string.h>

#include "detect/view_functions.h"
#include "support/mem.h"
#include "video/build.h"

struct view {
    char *title;
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    int32_t width, height; /* of the texture */
};

det_status view_open(struct det_env *env, const char *title, struct view **out)
{
    struct view *view = NULL;
    *out = NULL;
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1"); /* Ctrl-C is the tool's */
    if (SDL_InitSubSystem(SDL_INIT_VIDEO) != 0)
        return det_fail(env, DET_STATUS_DEVICE, "--view: no window can be opened: %s",
                        SDL_GetError());
    /* SDL takes a driver that shows nothing rather than none. */
    const char *driver = SDL_GetCurrentVideoDriver();
    if (SDL_getenv("SDL_VIDEODRIVER") == NULL &&
        (driver == NULL || strcmp(driver, "offscreen") == 0 || strcmp(driver, "dummy") == 0)) {
        view_close(env, &view);
        return det_fail(env, DET_STATUS_DEVICE,
                        "--view: there is no display; --mjpeg PORT shows the frames in a browser");
    }
    det_status status = det_alloc(env, &view, 1, sizeof *view, "window");
    if (status == DET_OK)
        status = det_strdup(env, &view->title, title);
    if (status != DET_OK)
        view_close(env, &view);
    *out = view;
    return status;
}

static det_status fail(struct det_env *env)
{
    return det_fail(env, DET_STATUS_DEVICE, "--view: %s", SDL_GetError());
}

/* A window of the picture's shape that fits a usual screen. */
static det_status show_window(struct det_env *env, struct view *view, const struct det_image *image)
{
    int width = image->width, height = image->height;
    while (width > 1600 || height > 900) {
        width /= 2;
        height /= 2;
    }
    view->window =
        SDL_CreateWindow(view->title, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                         width > 0 ? width : 1, height > 0 ? height : 1, SDL_WINDOW_RESIZABLE);
    if (view->window == NULL)
        return fail(env);
    SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    view->renderer = SDL_CreateRenderer(view->window, -1, 0);
    if (view->renderer == NULL)
        view->renderer = SDL_CreateRenderer(view->window, -1, SDL_RENDERER_SOFTWARE);
    return view->renderer != NULL ? DET_OK : fail(env);
}

static bool wants_to_close(void)
{
    bool close = false;
    for (SDL_Event event; SDL_PollEvent(&event);)
        close = close || event.type == SDL_QUIT ||
                (event.type == SDL_KEYDOWN &&
                 (event.key.keysym.sym == SDLK_q || event.key.keysym.sym == SDLK_ESCAPE));
    return close;
}

det_status view_frame(struct det_env *env, struct view *view, const struct det_image *image,
                      bool *closed)
{
    if (view->window == NULL)
        DET_TRY_RETURN(show_window(env, view, image));
    if (view->width != image->width || view->height != image->height) {
        SDL_DestroyTexture(view->texture);
        view->texture = SDL_CreateTexture(view->renderer, SDL_PIXELFORMAT_RGB24,
                                          SDL_TEXTUREACCESS_STREAMING, image->width, image->height);
        view->width = image->width;
        view->height = image->height;
        SDL_RenderSetLogicalSize(view->renderer, image->width, image->height);
    }
    if (view->texture == NULL ||
        SDL_UpdateTexture(view->texture, NULL, image->rgb, image->width * 3) != 0)
        return fail(env);
    SDL_RenderClear(view->renderer);
    SDL_RenderCopy(view->renderer, view->texture, NULL, NULL);
    SDL_RenderPresent(view->renderer);
    *closed = wants_to_close();
    return DET_OK;
}

void view_close(struct det_env *env, struct view **out)
{
    struct view *view = *out;
    if (view != NULL) {
        SDL_DestroyTexture(view->texture);
        SDL_DestroyRenderer(view->renderer);
        SDL_DestroyWindow(view->window);
        det_free(env, &view->title);
        det_free(env, out);
    }
    SDL_QuitSubSystem(SDL_INIT_VIDEO);
}

extern const struct view_functions det_view_functions;

__attribute__((visibility("default"))) const struct view_functions det_view_functions = {
    .build = tools_build, .open = view_open, .frame = view_frame, .close = view_close};
