/* An MCP server on stdio that costs next to nothing: the tool `echo` gives back its text.
 *
 *   echo [--tools N] [--result-bytes N]
 *
 *   --tools N          list N tools, of which the first is `echo`; only that one can be called
 *   --result-bytes N   fill up the text of each result with dots, to N bytes
 *
 * It speaks 2025-06-18 and 2025-11-25. Requests that are read together are answered in one write,
 * in their order. The text goes back as it is written, with its escapes.
 */
#include <errno.h>
#include <unistd.h>

#include "answers.h"
#include "buffer.h"

enum { READ_BYTES = 1 << 16 };

static bool write_all(buffer *out) {
  for (size_t done = 0; done < out->size;) {
    ssize_t count = write(STDOUT_FILENO, out->at + done, out->size - done);
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) done += (size_t)count;
  }
  out->size = 0;
  return true;
}

int main(int count, char **words) {
  if (!read_options(count, words)) {
    fprintf(stderr, "usage: echo [--tools N] [--result-bytes N]\n");
    return 2;
  }
  buffer in = {0}, out = {0};
  size_t scanned = 0; /* bytes at the beginning of `in` that hold no line end */
  for (;;) {
    ssize_t got = read(STDIN_FILENO, reserve(&in, READ_BYTES), READ_BYTES);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    in.size += (size_t)got;
    size_t begin = 0;
    char *line_end;
    while ((line_end = memchr(in.at + scanned, '\n', in.size - scanned)) != NULL) {
      answer(&out, slice_of(in.at + begin, (size_t)(line_end - in.at) - begin));
      begin = scanned = (size_t)(line_end - in.at) + 1;
    }
    drop(&in, begin);
    scanned = in.size;
    if (!write_all(&out)) return 0;
  }
}
