/* Direct convolutions of NAS-Bench-201 but the depthwise ones, forward and both gradients: 4 samples in cache, 64 not.

       conv3x3 [check|quick|full] [table]

   bench.h tells how it is built, conv.h what the rungs are.

   Tried without gain (AVX-512, Zen 4): tiles of 16 pixels by one vector, 17 loads for 16 products instead of 18, since
   a broadcast that is part of a multiply-add costs no more than the multiply-add. */
#include "conv.h"

int main(int argc, char **argv) {
    static const conv_shape shapes[] = {
        {16, 16, 32, 3, 1, 1, false, true},  {32, 32, 16, 3, 1, 1, false, true},  {64, 64, 8, 3, 1, 1, false, true},
        {16, 32, 32, 3, 2, 1, false, true},  {32, 64, 16, 3, 2, 1, false, true},  {3, 16, 32, 3, 1, 1, false, false},
        {16, 16, 32, 1, 1, 1, false, true},  {32, 32, 16, 1, 1, 1, false, true},  {64, 64, 8, 1, 1, 1, false, true},
        {16, 32, 32, 1, 2, 1, false, false}, {32, 64, 16, 1, 2, 1, false, false}, {43, 43, 16, 3, 1, 1, false, true},
    };
    return conv_main(argc, argv, (int)(sizeof shapes / sizeof *shapes), shapes);
}
