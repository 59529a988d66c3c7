/* Depthwise convolutions, forward and both gradients: 4 samples in cache, 64 not. C = 43 leaves tails.

       depthwise [check|quick|full] [table]

   bench.h tells how it is built, conv.h what the rungs are.

   What the steps bought (AVX-512, Zen 4, gcc 12, one thread, 4 samples; GF/s forward / backward-data / backward-weights
   beside an FMA peak of 117):
                                       3x3 C16       5x5 dil. 2 C16    7x7 C64         3x3 C43
       a load for each product      34 / 28 / 43     53 / 44 / 36     83 / 70 / 46    7 / 7 / 5
       a load for S products        65 / 49 / 59     85 / 69 / 54    101 / 91 / 59   52 / 39 / 43   tails masked
       ring without divisions       65 / 49 / 60     85 / 69 / 61    101 / 91 / 59   52 / 39 / 44
   What is left of 3x3 is the copy behind a ReLU, and stores: 9 products for a load, a copy and a store. */
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
