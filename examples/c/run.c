/* Starts a sandbox, runs a command in it, prints what it printed. Build: cc run.c $(pkg-config --cflags --libs stacyvm) */
#include <stacyvm/stacyvm.h>
#include <stdio.h>

int main(void) {
  stacyvm_instance *vm = NULL;
  stacyvm_session *s = NULL;
  stacyvm_sandbox *sb = NULL;
  stacyvm_error *e = NULL;
  stacyvm_exec_options x;
  stacyvm_exec_result r;
  int status = 1;

  STACYVM_INIT(&x);
  STACYVM_INIT(&r);
  x.shell = "echo hello from $(hostname)";
  if (stacyvm_open(NULL, &vm, &e) == STACYVM_OK && stacyvm_session_open(vm, NULL, &s, &e) == STACYVM_OK &&
      stacyvm_spawn(s, NULL, &sb, &e) == STACYVM_OK && stacyvm_exec(sb, &x, &r, &e) == STACYVM_OK) {
    fwrite(r.stdout_data, 1, r.stdout_size, stdout);
    status = r.exit_code;
  } else {
    fprintf(stderr, "%s: %s %s\n", stacyvm_error_name(e), stacyvm_error_message(e), stacyvm_error_details(e));
  }
  stacyvm_exec_result_clear(&r); /* whatever happened: clearing and closing nothing is fine */
  stacyvm_error_free(e);
  stacyvm_sandbox_close(sb);
  stacyvm_session_close(s);
  stacyvm_close(vm); /* ends the sandbox, too */
  return status;
}
