/* Depthwise convolutions, forward and both gradients: 4 samples in cache, 64 not. C = 43 leaves tails.

       depthwise [check|quick|full] [table]

   bench.h tells how it is built, conv.h what the rungs are. */
#include "conv.h"

int main(int argc, char **argv) {
    static const struct {
        int C, size;
    } places[] = {{16, 32}, {64, 8}, {43, 16}};
    enum { N_WINDOWS = 3 * 2 * 2, N_SHAPES = 3 * N_WINDOWS };
    conv_shape shapes[N_SHAPES];
    for (int i = 0; i < N_SHAPES; i++) {
        const int C = places[i / N_WINDOWS].C, j = i % N_WINDOWS;
        shapes[i] =
            (conv_shape){C, C, places[i / N_WINDOWS].size, 3 + 2 * (j / 4), 1 + j / 2 % 2, 1 + j % 2, true, true};
    }
    return conv_main(argc, argv, N_SHAPES, shapes);
}
