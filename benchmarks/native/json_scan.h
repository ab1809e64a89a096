/* Finds members of JSON objects without a tree: every value is a slice of the text that holds it.
 *
 * It expects valid JSON, and never reads past the end of a slice. Of invalid JSON it finds what it
 * can. Names are compared as they are written, so a name with escapes is not found.
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct {
  const char *at;
  size_t size;
} slice;

static inline slice slice_of(const char *at, size_t size) { return (slice){at, size}; }

static inline bool is_text(slice one, const char *text) {
  return one.size == strlen(text) && memcmp(one.at, text, one.size) == 0;
}

static const char *skip_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
  return at;
}

/* Return the byte after the string that begins at `at`; NULL where it does not end. */
static const char *skip_string(const char *at, const char *end) {
  const char *begin = ++at;
  while ((at = memchr(at, '"', (size_t)(end - at))) != NULL) {
    const char *escape = at;
    while (escape > begin && escape[-1] == '\\') escape--;
    if ((at - escape) % 2 == 0) return at + 1; /* an odd number of backslashes escapes the quote */
    at++;
  }
  return NULL;
}

/* Return the byte after the value that begins at `at`; NULL where it does not end. */
static const char *skip_value(const char *at, const char *end) {
  size_t depth = 0;
  while (at < end) {
    char here = *at;
    if (here == '"') {
      if ((at = skip_string(at, end)) == NULL) return NULL;
    } else if (here == '{' || here == '[') {
      depth++, at++;
    } else if (here == '}' || here == ']') {
      if (depth == 0) return at;
      depth--, at++;
    } else if (depth == 0) {
      while (at < end && strchr(",}] \t\r\n", *at) == NULL) at++; /* a number, true, false, null */
      return at;
    } else {
      at++;
      continue;
    }
    if (depth == 0) return at;
  }
  return NULL;
}

/* Find the first member of an object with this name; `value` is the raw JSON of its value. */
static bool member(slice object, const char *name, slice *value) {
  const char *end = object.at + object.size, *at = skip_space(object.at, end);
  if (at == end || *at != '{') return false;
  at = skip_space(at + 1, end);
  while (at < end && *at == '"') {
    const char *key = at + 1;
    if ((at = skip_string(at, end)) == NULL) return false;
    bool found = is_text(slice_of(key, (size_t)(at - key) - 1), name);
    at = skip_space(at, end);
    if (at == end || *at != ':') return false;
    const char *begin = skip_space(at + 1, end);
    if ((at = skip_value(begin, end)) == NULL) return false;
    if (found) {
      *value = slice_of(begin, (size_t)(at - begin));
      return true;
    }
    at = skip_space(at, end);
    if (at == end || *at != ',') return false;
    at = skip_space(at + 1, end);
  }
  return false;
}

/* Find the first item of an array. */
static bool first_item(slice array, slice *value) {
  const char *end = array.at + array.size, *at = skip_space(array.at, end);
  if (at == end || *at != '[') return false;
  const char *begin = skip_space(at + 1, end);
  if (begin == end || *begin == ']') return false;
  if ((at = skip_value(begin, end)) == NULL) return false;
  *value = slice_of(begin, (size_t)(at - begin));
  return true;
}

/* Take the quotes off a string; the inside stays as it is written, with its escapes. */
static bool inside_quotes(slice *value) {
  if (value->size < 2 || value->at[0] != '"') return false;
  *value = slice_of(value->at + 1, value->size - 2);
  return true;
}

#endif
