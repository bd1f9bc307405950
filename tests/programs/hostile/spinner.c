// Computes, without end and without saying so.
int main(void) {
  for (volatile unsigned i = 0;; ++i) {
  }
}
