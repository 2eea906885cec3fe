#include "net/curl.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <string>

#include "core/error.hpp"

namespace svm::net {
namespace {

template <class F>
void find(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(::dlsym(library, name));
  if (!function) throw Error(Code::unsupported, std::string("libcurl is too old to talk to a server: it has no ") + name);
}

Curl load() {
  // Both are the same library, with OpenSSL and with GnuTLS; the second name is Debian's.
  void* library = nullptr;
  for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"})
    if (!library) library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!library) throw Error(Code::unsupported, "a server is talked to with libcurl (libcurl.so.4), and this host has none");
  Curl made{};
  decltype(&::curl_global_init) global_init = nullptr;
  find(library, "curl_global_init", global_init);
  find(library, "curl_easy_init", made.easy_init);
  find(library, "curl_easy_cleanup", made.easy_cleanup);
  find(library, "curl_easy_reset", made.easy_reset);
  find(library, "curl_easy_setopt", made.easy_setopt);
  find(library, "curl_easy_getinfo", made.easy_getinfo);
  find(library, "curl_easy_strerror", made.easy_strerror);
  find(library, "curl_easy_send", made.easy_send);
  find(library, "curl_easy_recv", made.easy_recv);
  find(library, "curl_slist_append", made.slist_append);
  find(library, "curl_slist_free_all", made.slist_free_all);
  find(library, "curl_multi_init", made.multi_init);
  find(library, "curl_multi_cleanup", made.multi_cleanup);
  find(library, "curl_multi_add_handle", made.multi_add_handle);
  find(library, "curl_multi_remove_handle", made.multi_remove_handle);
  find(library, "curl_multi_perform", made.multi_perform);
  find(library, "curl_multi_poll", made.multi_poll);
  find(library, "curl_multi_wakeup", made.multi_wakeup);
  find(library, "curl_multi_info_read", made.multi_info_read);
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw Error(Code::unsupported, "libcurl could not be started");
  return made;
}

}  // namespace

const Curl& curl() {
  static const Curl loaded = load();  // again at the next call, where it threw
  return loaded;
}

SignalsHeld::SignalsHeld() noexcept {
  sigset_t all, pending;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  ::sigpending(&pending);
  pending_ = ::sigismember(&pending, SIGPIPE) == 1;
}

SignalsHeld::~SignalsHeld() {
  if (!pending_) {
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    const timespec now{};
    ::sigtimedwait(&pipe, nullptr, &now);
  }
  ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace svm::net
