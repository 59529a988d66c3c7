/* Direct convolutions of NAS-Bench-201 but the depthwise ones, and 1x1 convolutions of wide layers on small maps:
   forward and both gradients, 4 samples in cache, 64 not.

       conv3x3 [check|quick|full] [table]

   bench.h tells how it is built, conv.h what the rungs are.

   What the steps bought (AVX-512, Zen 4, gcc 12, one thread, 4 samples; GF/s forward / backward-data / backward-weights
   beside an FMA peak of 116):
                                         1x1 C576-96 at 4    1x1 C192-1152 at 2
       sample by sample, 8 KB a row      115 / 110 / 92       50 / 64 / 59
       at least 32 pixels a row, 64 a
       weight gradient, of any samples   117 / 111 / 105     112 / 116 / 80

   Tried without gain (AVX-512, Zen 4): tiles of 16 pixels by one vector, 17 loads for 16 products instead of 18, since
   a broadcast that is part of a multiply-add costs no more than the multiply-add. */
#include "conv.h"

int main(int argc, char **argv) {
    static const conv_shape shapes[] = {
        {16, 16, 32, 3, 1, 1, false, true},  {32, 32, 16, 3, 1, 1, false, true},    {64, 64, 8, 3, 1, 1, false, true},
        {16, 32, 32, 3, 2, 1, false, true},  {32, 64, 16, 3, 2, 1, false, true},    {3, 16, 32, 3, 1, 1, false, false},
        {16, 16, 32, 1, 1, 1, false, true},  {32, 32, 16, 1, 1, 1, false, true},    {64, 64, 8, 1, 1, 1, false, true},
        {16, 32, 32, 1, 2, 1, false, false}, {32, 64, 16, 1, 2, 1, false, false},   {43, 43, 16, 3, 1, 1, false, true},
        {576, 96, 4, 1, 1, 1, false, false}, {192, 1152, 2, 1, 1, 1, false, false},
    };
    return conv_main(argc, argv, (int)(sizeof shapes / sizeof *shapes), shapes);
}
