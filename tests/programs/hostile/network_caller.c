// network_caller PORT NAME: tries TCP on 127.0.0.1, an abstract unix socket, and the hypervisor.
// Exits 1 if anything answered.
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  int reached = 0;
  struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr*)&tcp, sizeof tcp) == 0) reached |= puts("reached tcp");

  struct sockaddr_un local = {.sun_family = AF_UNIX};
  strncpy(local.sun_path + 1, argv[2], sizeof local.sun_path - 2);
  fd = socket(AF_UNIX, SOCK_STREAM, 0);
  socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[2]);
  if (fd >= 0 && connect(fd, (struct sockaddr*)&local, size) == 0) reached |= puts("reached unix");

  if (socket(AF_VSOCK, SOCK_STREAM, 0) >= 0) reached |= puts("got a vsock socket");
  return reached != 0;
}
