/* Errors are values: whatever can fail returns a zs_status and leaves the text in a zs_error. */
#ifndef ZS_STATUS_H
#define ZS_STATUS_H

#include "core/base.h"

typedef enum zs_status {
    ZS_OK = 0,
    ZS_ENOMEM,    /* an allocation failed, or the plan is larger than the caller's cap */
    ZS_EINVAL,    /* a value from the user is wrong */
    ZS_EARCH,     /* an architecture's text is malformed: `position` says where */
    ZS_ECANCEL,   /* the caller asked to stop */
    ZS_EINTERNAL, /* an invariant of ours is broken */
} zs_status;

typedef struct zs_error {
    zs_status status;
    long position; /* byte offset in the text that was parsed, -1 if none */
    char text[400];
} zs_error;

void zs_error_clear(zs_error *err);

/* Keeps the first error: later calls change nothing. Returns the status that is kept. */
zs_status zs_fail(zs_error *err, zs_status status, const char *format, ...) ZS_PRINTF(3, 4);
zs_status zs_fail_at(zs_error *err, long position, const char *format, ...) ZS_PRINTF(3, 4);

#endif
