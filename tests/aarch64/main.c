/* Calls a kernel: main SCRATCH_BYTES OUTPUT_BYTES INPUT_BYTES...
   Inputs come from standard input, one after another; the output goes to standard output. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void Body(void *frame, int64_t first, int64_t last, void *scratch);

void kernel(void **arguments, void *scratch, void *launch);

static void launch(Body *body, void *frame, int64_t first, int64_t last, char *scratch, int64_t stride, int64_t parts)
{
    for (int64_t part = parts - 1; part >= 0; part--) {
        int64_t low = first + (last - first) * part / parts, high = first + (last - first) * (part + 1) / parts;
        if (low < high)
            body(frame, low, high, scratch + part * stride);
    }
}

static void *reserve(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!memory)
        exit(2);
    return memset(memory, 0xff, bytes); /* NaN, where nothing is written */
}

int main(int count, char **words)
{
    int inputs = count - 3;
    void **arguments = calloc(inputs + 1, sizeof(void *));
    void *scratch = reserve(strtoull(words[1], 0, 10));
    size_t bytes = strtoull(words[2], 0, 10);
    for (int i = 0; i < inputs; i++) {
        size_t size = strtoull(words[3 + i], 0, 10);
        arguments[i] = reserve(size);
        if (fread(arguments[i], 1, size, stdin) != size)
            return 3;
    }
    arguments[inputs] = reserve(bytes);
    kernel(arguments, scratch, (void *)launch);
    return fwrite(arguments[inputs], 1, bytes, stdout) == bytes ? 0 : 4;
}
