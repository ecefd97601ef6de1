#include "CTauPattern.h"

#include <re2/re2.h>

#include <cstring>
#include <new>
#include <string>

struct tau_pattern {
    re2::RE2 expression;
};

// Compiled expression and automaton together; a larger one is refused, and an automaton that grows is begun anew.
static const int64_t maxMemory = 16 << 20;

extern "C" struct tau_pattern *tau_pattern_make(
    const char *expression, size_t count, bool is_literal, bool ignores_case, bool is_of_lines, char *error,
    size_t error_count) {
    re2::RE2::Options options(re2::RE2::Quiet);
    options.set_literal(is_literal);
    options.set_case_sensitive(!ignores_case);
    options.set_never_nl(is_of_lines);
    options.set_never_capture(true);
    options.set_max_mem(maxMemory);
    std::string text(expression, count);
    // In front and not around: a group would close parentheses that the expression left open.
    if (!is_literal && is_of_lines) text = "(?m)" + text;
    tau_pattern *pattern = new (std::nothrow) tau_pattern{re2::RE2(text, options)};
    if (pattern == nullptr) return nullptr;
    if (pattern->expression.ok()) return pattern;
    std::strncpy(error, pattern->expression.error().c_str(), error_count - 1);
    error[error_count - 1] = 0;
    delete pattern;
    return nullptr;
}

extern "C" void tau_pattern_free(struct tau_pattern *pattern) { delete pattern; }

extern "C" ptrdiff_t tau_pattern_find(
    const struct tau_pattern *pattern, const char *text, size_t count, size_t start) {
    re2::StringPiece whole(text, count), match;
    if (!pattern->expression.Match(whole, start, count, re2::RE2::UNANCHORED, &match, 1)) return -1;
    return match.data() - text;
}
