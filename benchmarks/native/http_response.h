/* Reads HTTP/1.1 responses as they come: by length, in chunks, or until the connection closes.
 *
 * `response_feed` takes bytes out of one buffer and adds those of the body to another, and stops at
 * the end of the response, so responses that follow each other stay apart.
 */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <stdbool.h>
#include <strings.h>

#include "buffer.h"

typedef enum { HEAD, BY_LENGTH, UNTIL_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, DONE } part;

typedef struct {
  part part;
  int status;
  bool events, closes;
  size_t missing; /* bytes of the body, or of the chunk */
  char session[256];
  buffer body;
} response;

static void response_begin(response *one) {
  one->part = HEAD;
  one->status = 0;
  one->events = one->closes = false;
  one->missing = 0;
  one->body.size = 0;
}

/* Return the value if `line` is the header `name`, without the space around it. */
static bool header_value(const char *line, size_t size, const char *name, const char **value,
                         size_t *value_size) {
  size_t length = strlen(name);
  if (size <= length || line[length] != ':' || strncasecmp(line, name, length) != 0) return false;
  const char *at = line + length + 1, *end = line + size;
  while (at < end && (*at == ' ' || *at == '\t')) at++;
  while (end > at && (end[-1] == ' ' || end[-1] == '\t')) end--;
  *value = at;
  *value_size = (size_t)(end - at);
  return true;
}

static bool contains_word(const char *at, size_t size, const char *word) {
  size_t length = strlen(word);
  for (size_t skip = 0; skip + length <= size; skip++) {
    if (strncasecmp(at + skip, word, length) == 0) return true;
  }
  return false;
}

static void read_header(response *one, const char *line, size_t size, part *body) {
  const char *value;
  size_t length;
  if (header_value(line, size, "content-length", &value, &length)) {
    one->missing = 0;
    while (length-- && *value >= '0' && *value <= '9') {
      one->missing = one->missing * 10 + (size_t)(*value++ - '0');
    }
    if (*body != CHUNK_SIZE) *body = BY_LENGTH;
  } else if (header_value(line, size, "transfer-encoding", &value, &length)) {
    if (contains_word(value, length, "chunked")) *body = CHUNK_SIZE;
  } else if (header_value(line, size, "content-type", &value, &length)) {
    one->events = contains_word(value, length, "text/event-stream");
  } else if (header_value(line, size, "connection", &value, &length)) {
    one->closes = contains_word(value, length, "close");
  } else if (header_value(line, size, "mcp-session-id", &value, &length) &&
             length < sizeof one->session) {
    memcpy(one->session, value, length);
    one->session[length] = '\0';
  }
}

static void read_head(response *one, const char *head, size_t size) {
  const char *end = head + size, *line = head;
  part body = UNTIL_CLOSE;
  if (size > 12 && memcmp(head, "HTTP/1.", 7) == 0) one->status = atoi(head + 9);
  while (line < end) {
    const char *next = memchr(line, '\n', (size_t)(end - line));
    next = next == NULL ? end : next;
    read_header(one, line, (size_t)(next - line) - (next > line && next[-1] == '\r'), &body);
    line = next + 1;
  }
  if (one->status / 100 == 1) return; /* 100 Continue: the head of the response follows */
  if (one->status == 204 || one->status == 304) body = BY_LENGTH, one->missing = 0;
  if (body == UNTIL_CLOSE) one->closes = true;
  one->part = body == BY_LENGTH && one->missing == 0 ? DONE : body;
}

/* Take a line off the beginning of `in`, without its end; false while it is not whole. */
static bool take_line(buffer *in, size_t *used, const char **line, size_t *size) {
  const char *begin = in->at + *used, *end = memchr(begin, '\n', in->size - *used);
  if (in->size == *used || end == NULL) return false;
  *line = begin;
  *size = (size_t)(end - begin) - (end > begin && end[-1] == '\r');
  *used = (size_t)(end - in->at) + 1;
  return true;
}

static bool step_head(response *one, buffer *in, size_t *used) {
  const char *end = memmem(in->at + *used, in->size - *used, "\r\n\r\n", 4);
  if (end == NULL) return false;
  size_t size = (size_t)(end - in->at) - *used;
  read_head(one, in->at + *used, size);
  *used += size + 4;
  return true;
}

static bool step_data(response *one, buffer *in, size_t *used, part next) {
  size_t there = in->size - *used, size = there < one->missing ? there : one->missing;
  append(&one->body, in->at + *used, size);
  *used += size;
  one->missing -= size;
  if (one->missing) return false;
  one->part = next;
  return true;
}

static bool step_line(response *one, buffer *in, size_t *used) {
  const char *line;
  size_t size;
  if (!take_line(in, used, &line, &size)) return false;
  if (one->part == CHUNK_SIZE) {
    one->missing = strtoul(line, NULL, 16);
    one->part = one->missing ? CHUNK_DATA : TRAILERS;
  } else if (one->part == CHUNK_END) {
    one->part = CHUNK_SIZE;
  } else if (size == 0) {
    one->part = DONE;
  }
  return true;
}

/* Take what there is of a response out of `in`; return true once it is whole. */
static bool response_feed(response *one, buffer *in) {
  size_t used = 0;
  bool more = in->size > 0;
  while (more && one->part != DONE && used < in->size) {
    if (one->part == HEAD) {
      more = step_head(one, in, &used);
    } else if (one->part == BY_LENGTH) {
      more = step_data(one, in, &used, DONE);
    } else if (one->part == CHUNK_DATA) {
      more = step_data(one, in, &used, CHUNK_END);
    } else if (one->part == UNTIL_CLOSE) {
      append(&one->body, in->at + used, in->size - used);
      used = in->size;
    } else {
      more = step_line(one, in, &used);
    }
  }
  drop(in, used);
  return one->part == DONE;
}

#endif
