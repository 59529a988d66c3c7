/* The list of spaces, the checks and the text reader that they share. */
#include "spaces/space.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const zs_space *const SPACES[] = {
#define ZS_SPACE_ENTRY(name) &zs_space_##name,
    ZS_SPACE_TABLE(ZS_SPACE_ENTRY)
#undef ZS_SPACE_ENTRY
};

int zs_space_count(void) { return (int)(sizeof SPACES / sizeof SPACES[0]); }

const zs_space *zs_space_get(int i) {
    ZS_ASSERT(i >= 0 && i < zs_space_count());
    return SPACES[i];
}

const zs_space *zs_space_by_name(const char *name, size_t len) {
    for (int i = 0; i < zs_space_count(); i++)
        if (strlen(SPACES[i]->name) == len && memcmp(SPACES[i]->name, name, len) == 0) return SPACES[i];
    return NULL;
}

static const char *const BUILDERS[ZS_N_BUILDERS] = {"autodl", "zerocost", "imagenet", "naslib"};

const char *zs_space_builder_name(int builder) {
    return builder >= 0 && builder < ZS_N_BUILDERS ? BUILDERS[builder] : NULL;
}

int zs_space_builder_by_name(const char *name) {
    for (int i = 0; i < ZS_N_BUILDERS; i++)
        if (strcmp(name, BUILDERS[i]) == 0) return i;
    return -1;
}

static zs_status builder_check(const zs_space *space, int builder, zs_error *err) {
    if (space->builders >> builder & 1) return ZS_OK;
    char known[32 * ZS_N_BUILDERS];
    size_t at = 0;
    for (int i = 0; i < ZS_N_BUILDERS; i++)
        if (space->builders >> i & 1) at = zs_put(known, sizeof known, at, "%s%s", at > 0 ? " or " : "", BUILDERS[i]);
    return zs_fail(err, ZS_EINVAL, "builder: expected %s, as nobody else builds networks of %s, got %s", known,
                   space->name, zs_space_builder_name(builder));
}

zs_status zs_space_args_check(const zs_space *space, const zs_space_args *args, zs_error *err) {
    if (space->channels == 0 && args->channels != 0)
        return zs_fail(err, ZS_EINVAL, "channels: expected none, as architectures of %s say their widths, got %d",
                       space->name, args->channels);
    if (space->cells == 0 && args->cells != 0)
        return zs_fail(err, ZS_EINVAL, "cells: expected none, as architectures of %s say their depth, got %d",
                       space->name, args->cells);
    const struct {
        const char *name;
        int value, min, max;
    } bounds[] = {
        {"channels", args->channels, space->channels > 0, ZS_MAX_DIM},
        {"cells", args->cells, space->cells > 0, ZS_MAX_NODES},
        {"num_classes", args->num_classes, 1, ZS_MAX_CLASSES},
        {"input channels", args->input.C, 1, ZS_MAX_DIM},
        {"input height", args->input.H, 1, ZS_MAX_DIM},
        {"input width", args->input.W, 1, ZS_MAX_DIM},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        if (bounds[i].value < bounds[i].min || bounds[i].value > bounds[i].max)
            return zs_fail(err, ZS_EINVAL, "%s: expected %d to %d, got %d", bounds[i].name, bounds[i].min,
                           bounds[i].max, bounds[i].value);
    return builder_check(space, (int)args->builder, err);
}

/* --- reader ------------------------------------------------------------------------------------------------------ */

#define SHOWN 24 /* bytes of a wrong word that a message repeats */

static bool is_word(char c) { /* not isalnum: that asks the locale */
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* End of the word at r->at, looking at no more than `limit` bytes. */
static size_t word_end(const zs_reader *r, size_t limit) {
    const size_t stop = r->len - r->at < limit ? r->len : r->at + limit;
    size_t end = r->at;
    while (end < stop && is_word(r->text[end])) end++;
    return end;
}

zs_status zs_read_fail(zs_reader *r, size_t at, const char *expected) {
    if (at >= r->len) return zs_fail_at(r->err, (long)at, "expected %s, got the end of the text", expected);
    const zs_reader here = {r->text, r->len, at, r->err};
    const size_t n = word_end(&here, SHOWN + 1) - at;
    const unsigned char c = (unsigned char)r->text[at];
    if (n > SHOWN) return zs_fail_at(r->err, (long)at, "expected %s, got '%.*s...'", expected, SHOWN, r->text + at);
    if (n > 0) return zs_fail_at(r->err, (long)at, "expected %s, got '%.*s'", expected, (int)n, r->text + at);
    if (c >= 0x20 && c < 0x7f) return zs_fail_at(r->err, (long)at, "expected %s, got '%c'", expected, c);
    return zs_fail_at(r->err, (long)at, "expected %s, got byte 0x%02x", expected, c);
}

bool zs_read_char(zs_reader *r, char c, const char *expected) {
    if (r->at < r->len && r->text[r->at] == c) {
        r->at++;
        return true;
    }
    zs_read_fail(r, r->at, expected);
    return false;
}

bool zs_read_literal(zs_reader *r, const char *literal, const char *expected) {
    while (*literal && zs_read_char(r, *literal, expected)) literal++;
    return *literal == 0;
}

int zs_read_word(zs_reader *r, int n, const char *const *words, const char *expected) {
    size_t longest = 0;
    for (int i = 0; i < n; i++) longest = strlen(words[i]) > longest ? strlen(words[i]) : longest;
    const size_t len = word_end(r, longest + 1) - r->at;
    for (int i = 0; i < n; i++)
        if (strlen(words[i]) == len && memcmp(words[i], r->text + r->at, len) == 0) {
            r->at += len;
            return i;
        }
    zs_read_fail(r, r->at, expected);
    return -1;
}

int zs_read_digit(zs_reader *r, int n, const char *expected) {
    const int digit = r->at < r->len ? r->text[r->at] - '0' : -1;
    if (digit >= 0 && digit < n) {
        r->at++;
        return digit;
    }
    zs_read_fail(r, r->at, expected);
    return -1;
}

int zs_read_number(zs_reader *r, int min, int max, const char *expected) {
    ZS_ASSERT(min >= 0 && max <= 100000000);
    const size_t at = r->at;
    int value = 0;
    while (r->at < r->len && r->text[r->at] >= '0' && r->text[r->at] <= '9' && value <= max)
        value = 10 * value + (r->text[r->at++] - '0');
    const size_t n = r->at - at;
    if (n > 0 && (n == 1 || r->text[at] != '0') && value >= min && value <= max) return value;
    zs_read_fail(r, at, expected);
    return -1;
}

bool zs_read_if(zs_reader *r, const char *word) {
    const size_t n = strlen(word);
    if (r->len - r->at < n || memcmp(r->text + r->at, word, n) != 0) return false;
    r->at += n;
    return true;
}

bool zs_read_end(zs_reader *r) {
    if (r->at == r->len) return true;
    zs_read_fail(r, r->at, "the end of the text");
    return false;
}

/* --- texts ------------------------------------------------------------------------------------------------------- */

zs_expected_text zs_expected(const char *format, ...) {
    zs_expected_text e;
    va_list args;
    va_start(args, format);
    vsnprintf(e.text, sizeof e.text, format, args);
    va_end(args);
    return e;
}

size_t zs_put(char *out, size_t size, size_t at, const char *format, ...) {
    ZS_ASSERT(at < size);
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(out + at, size - at, format, args);
    va_end(args);
    return n < 0 ? at : (size_t)n < size - at ? at + (size_t)n : size - 1;
}
