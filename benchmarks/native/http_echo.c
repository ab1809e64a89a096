/* The echo as an MCP server over streamable HTTP, to measure the load generator itself.
 *
 *   http_echo [--tools N] [--result-bytes N]
 *
 * It listens on a free port of 127.0.0.1 and prints the address on stderr. It speaks no more HTTP
 * than the load generator does: POSTs with Content-Length, one at a time on each connection.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answers.h"
#include "buffer.h"
#include "http_response.h"

enum { READ_BYTES = 1 << 16, CONNECTIONS = 4096 };

static buffer inputs[CONNECTIONS]; /* by descriptor */
static buffer line, out;

static size_t body_size(const char *head, size_t size) {
  const char *value, *at = head, *end = head + size;
  size_t length;
  while (at < end) {
    const char *next = memchr(at, '\n', (size_t)(end - at));
    next = next == NULL ? end : next;
    if (header_value(at, (size_t)(next - at), "content-length", &value, &length)) {
      return strtoul(value, NULL, 10);
    }
    at = next + 1;
  }
  return 0;
}

/* Answer the requests that are whole. */
static bool serve(int file, buffer *in) {
  const char *head_end;
  while (in->size && (head_end = memmem(in->at, in->size, "\r\n\r\n", 4)) != NULL) {
    size_t head = (size_t)(head_end - in->at) + 4, body = body_size(in->at, head);
    if (in->size < head + body) return true;
    line.size = out.size = 0;
    answer(&line, slice_of(in->at + head, body));
    drop(in, head + body);
    append_format(&out, "HTTP/1.1 %s\r\n", line.size ? "200 OK" : "202 Accepted");
    append_format(&out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", line.size);
    append(&out, line.at, line.size);
    for (size_t done = 0; done < out.size;) {
      ssize_t count = write(file, out.at + done, out.size - done);
      if (count < 0 && errno != EINTR) return false;
      if (count > 0) done += (size_t)count;
    }
  }
  return true;
}

static void take(int poller, int file) {
  buffer *in = &inputs[file];
  ssize_t got = read(file, reserve(in, READ_BYTES), READ_BYTES);
  if (got > 0) in->size += (size_t)got;
  if (got > 0 && serve(file, in)) return;
  epoll_ctl(poller, EPOLL_CTL_DEL, file, NULL);
  close(file);
  in->size = 0;
}

static void watch(int poller, int file) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = file};
  if (file < 0 || file >= CONNECTIONS || epoll_ctl(poller, EPOLL_CTL_ADD, file, &event) < 0) abort();
}

static int listening(void) {
  struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof where;
  int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(file, (struct sockaddr *)&where, size) < 0 || listen(file, 1024) < 0) abort();
  getsockname(file, (struct sockaddr *)&where, &size);
  fprintf(stderr, "Listening on http://127.0.0.1:%d/mcp\n", ntohs(where.sin_port));
  return file;
}

int main(int count, char **words) {
  if (!read_options(count, words)) {
    fprintf(stderr, "usage: http_echo [--tools N] [--result-bytes N]\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  int poller = epoll_create1(EPOLL_CLOEXEC), listener = listening(), on = 1;
  watch(poller, listener);
  for (;;) {
    struct epoll_event ready[64];
    int number = epoll_wait(poller, ready, 64, -1);
    for (int at = 0; at < number; at++) {
      if (ready[at].data.fd != listener) {
        take(poller, ready[at].data.fd);
        continue;
      }
      int file = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
      if (file < 0) continue;
      setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      watch(poller, file);
    }
  }
}
