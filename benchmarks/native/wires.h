/* The connections of the load generator: sockets to an HTTP server, pipes to a command. */
#ifndef WIRES_H
#define WIRES_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "buffer.h"
#include "event_stream.h"
#include "http_response.h"
#include "json_scan.h"
#include "options.h"

typedef struct {
  int socket, poller; /* -1 while it is not connected */
  void *owner;
  char path[1024];
  buffer in, out;
  response response;
  event_reader event;
} wire;

typedef struct {
  pid_t command;
  int to, from;
  buffer in;
} pipes;

static void wire_init(wire *one, void *owner, int poller) {
  one->socket = -1;
  one->poller = poller;
  one->owner = owner;
  response_begin(&one->response);
  event_reset(&one->event);
}

static void watch(int poller, int file, void *owner) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = owner};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, file, &event) < 0) abort();
}

static bool wire_connect(wire *one, const options *set) {
  struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found;
  if (one->socket >= 0) return true;
  if (getaddrinfo(set->host, set->port, &wanted, &found) != 0) return false;
  for (struct addrinfo *at = found; at != NULL && one->socket < 0; at = at->ai_next) {
    int file = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (file >= 0 && connect(file, at->ai_addr, at->ai_addrlen) == 0) {
      one->socket = file;
    } else if (file >= 0) {
      close(file);
    }
  }
  freeaddrinfo(found);
  if (one->socket < 0) return false;
  int on = 1;
  setsockopt(one->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  watch(one->poller, one->socket, one);
  if (one->path[0] == '\0') strcpy(one->path, set->path);
  return true;
}

static void wire_close(wire *one) {
  if (one->socket >= 0) close(one->socket);
  one->socket = -1;
  one->in.size = 0;
}

/* Write everything. The other side reads what it is sent, so this waits for it. */
static bool write_all(int file, const char *at, size_t size) {
  while (size) {
    ssize_t count = write(file, at, size);
    if (count < 0 && errno == EAGAIN) {
      struct pollfd room = {.fd = file, .events = POLLOUT};
      poll(&room, 1, 1000);
    } else if (count < 0 && errno != EINTR) {
      return false;
    } else if (count > 0) {
      at += count, size -= (size_t)count;
    }
  }
  return true;
}

static void begin_request(wire *one, const options *set, const char *method) {
  one->out.size = 0;
  append_format(&one->out, "%s ", method);
  append_text(&one->out, one->path);
  append_format(&one->out, " HTTP/1.1\r\nHost: %s:%s\r\n", set->host, set->port);
  for (size_t at = 0; at < set->number_of_headers; at++) {
    append_text(&one->out, set->headers[at]);
    append_text(&one->out, "\r\n");
  }
  if (one->response.session[0]) {
    append_format(&one->out, "Mcp-Session-Id: %s\r\n", one->response.session);
  }
}

static bool send_request(wire *one, const options *set) {
  return wire_connect(one, set) && write_all(one->socket, one->out.at, one->out.size);
}

static bool wire_post(wire *one, const options *set, slice body) {
  if (!wire_connect(one, set)) return false;
  begin_request(one, set, "POST");
  append_format(&one->out,
                "Accept: %s\r\nContent-Type: application/json\r\nMCP-Protocol-Version: %s\r\n"
                "Content-Length: %zu\r\n\r\n",
                set->accept, set->revision, body.size);
  append(&one->out, body.at, body.size);
  return send_request(one, set);
}

static bool wire_get(wire *one, const options *set) {
  if (!wire_connect(one, set)) return false;
  begin_request(one, set, "GET");
  append_text(&one->out, "Accept: text/event-stream\r\n\r\n");
  return send_request(one, set);
}

/* End the session at the server; false if it has none. */
static bool wire_delete(wire *one, const options *set) {
  if (!one->response.session[0] || !wire_connect(one, set)) return false;
  begin_request(one, set, "DELETE");
  append_format(&one->out, "MCP-Protocol-Version: %s\r\n\r\n", set->revision);
  return send_request(one, set);
}

/* Take the path from the `endpoint` event of HTTP+SSE: a path, or a whole URL. */
static bool wire_use_endpoint(wire *one, const options *set, slice endpoint) {
  const char *at = endpoint.at, *end = at + endpoint.size;
  (void)set;
  if (endpoint.size > 7 && memcmp(at, "http://", 7) == 0) {
    at = memchr(at + 7, '/', (size_t)(end - at) - 7);
  }
  if (at == NULL || at == end || *at != '/' || (size_t)(end - at) >= sizeof one->path) return false;
  memcpy(one->path, at, (size_t)(end - at));
  one->path[end - at] = '\0';
  return true;
}

/* Read what there is; return false at the end of the stream. */
static bool read_available(int file, buffer *in) {
  enum { READ_BYTES = 1 << 18 };
  ssize_t count = read(file, reserve(in, READ_BYTES), READ_BYTES);
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  in->size += (size_t)count;
  return count > 0;
}

/* Run the command with pipes to it and from it; its stderr is ours. It ends with us. */
static void pipes_open(pipes *one, char **command, int poller) {
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0) abort();
  pid_t child = fork();
  if (child < 0) abort();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_DFL);
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    execvp(command[0], command);
    fprintf(stderr, "load: cannot run %s: %s\n", command[0], strerror(errno));
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  one->command = child;
  one->to = to[1];
  one->from = from[0];
  watch(poller, one->from, one);
}

/* End the command as a client does: close its stdin, and kill it after `patience_s`. */
static void pipes_close(pipes *one, double patience_s) {
  close(one->to);
  struct timespec pause = {.tv_nsec = 1000000};
  for (double waited_s = 0; waitpid(one->command, NULL, WNOHANG) == 0; waited_s += 1e-3) {
    if (waited_s > patience_s) kill(one->command, SIGKILL);
    nanosleep(&pause, NULL);
  }
  close(one->from);
}

static bool pipes_send(pipes *one, slice line) {
  static buffer out;
  out.size = 0;
  append(&out, line.at, line.size);
  append(&out, "\n", 1);
  return write_all(one->to, out.at, out.size);
}

#endif
