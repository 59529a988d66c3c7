#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>

void zs_error_clear(zs_error *err) {
    err->status = ZS_OK;
    err->position = -1;
    err->text[0] = '\0';
}

static void keep(zs_error *err, zs_status status, long position, const char *format, va_list args) {
    if (err->status != ZS_OK) return;
    err->status = status;
    err->position = position;
    vsnprintf(err->text, sizeof err->text, format, args);
}

zs_status zs_fail(zs_error *err, zs_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    keep(err, status, -1, format, args);
    va_end(args);
    return err->status;
}

zs_status zs_fail_at(zs_error *err, long position, const char *format, ...) {
    va_list args;
    va_start(args, format);
    keep(err, ZS_EARCH, position, format, args);
    va_end(args);
    return err->status;
}
