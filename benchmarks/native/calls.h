/* The messages of a caller, and whether an answer is that of the call in flight. */
#ifndef CALLS_H
#define CALLS_H

#include <stdint.h>

#include "buffer.h"
#include "json_scan.h"
#include "options.h"
#include "wires.h"

typedef enum { GREETING, CONFIRMING, READY, CALLING, LEAVING, ENDED } state;

typedef struct {
  size_t number;
  state state;
  wire post, stream; /* `stream` is the GET of the SSE transport */
  bool responded, answered; /* of what is in flight */
  uint64_t calls, id;
  double sent_at_s;
} caller;

/* Each is valid until the next one is made. */
static buffer call_text, message;

/* The text of the call in flight: other texts for each call and each caller. */
static slice text_of(const caller *one, const options *set) {
  call_text.size = 0;
  append_format(&call_text, "caller %zu call %llu ", one->number, (unsigned long long)one->calls);
  if (call_text.size < set->text_bytes) append_fill(&call_text, 'x', set->text_bytes - call_text.size);
  return slice_of(call_text.at, call_text.size);
}

static slice greeting_message(const caller *one, const options *set) {
  message.size = 0;
  append_format(&message,
                "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"initialize\",\"params\":{"
                "\"protocolVersion\":\"%s\",\"capabilities\":{},"
                "\"clientInfo\":{\"name\":\"load\",\"version\":\"1\"}}}",
                (unsigned long long)one->id, set->revision);
  return slice_of(message.at, message.size);
}

static slice call_message(const caller *one, const options *set) {
  slice words = text_of(one, set);
  message.size = 0;
  append_format(&message, "{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"tools/call\",",
                (unsigned long long)one->id);
  append_format(&message, "\"params\":{\"name\":\"%s\",\"arguments\":", set->tool);
  append(&message, set->arguments, (size_t)(set->text_place - set->arguments));
  append(&message, words.at, words.size);
  append_text(&message, set->text_place + strlen(TEXT_PLACE));
  append_text(&message, "}}");
  return slice_of(message.at, message.size);
}

static bool has_text(const caller *one, const options *set, slice answer) {
  slice result, content, item, words, expected = text_of(one, set);
  if (!member(answer, "result", &result) || !member(result, "content", &content) ||
      !first_item(content, &item) || !member(item, "text", &words) || !inside_quotes(&words)) {
    return false;
  }
  if (set->wrapped) return memmem(words.at, words.size, expected.at, expected.size) != NULL;
  if (words.size < expected.size || memcmp(words.at, expected.at, expected.size) != 0) return false;
  size_t size = expected.size > set->result_bytes ? expected.size : set->result_bytes;
  if (words.size != size) return false;
  const char *dots = words.at + expected.size;
  size_t number = size - expected.size;
  return number == 0 || (*dots == '.' && memcmp(dots, dots + 1, number - 1) == 0);
}

static bool has_id(slice id, uint64_t expected) {
  char text[32];
  snprintf(text, sizeof text, "%llu", (unsigned long long)expected);
  return is_text(id, text);
}

#endif
