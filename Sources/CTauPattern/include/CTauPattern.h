#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A compiled regular expression of RE2, whose time is linear in the text whatever the expression. Safe on all threads.
struct tau_pattern;

/// Compiles an expression; on failure answers NULL and writes why, with a NUL behind it.
/// Of lines, `^` and `$` match at line ends and nothing matches a line feed; otherwise they match at the text's ends.
struct tau_pattern *tau_pattern_make(
    const char *expression, size_t count, bool is_literal, bool ignores_case, bool is_of_lines, char *error,
    size_t error_count);

void tau_pattern_free(struct tau_pattern *pattern);

/// Where the first match at or after `start` begins, or -1.
ptrdiff_t tau_pattern_find(const struct tau_pattern *pattern, const char *text, size_t count, size_t start);

#ifdef __cplusplus
}
#endif
