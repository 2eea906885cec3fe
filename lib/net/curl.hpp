// libcurl, loaded when it is first needed. Linked, it would add some 27 ms to the start of every program that uses the library, for the two dozen
// libraries that come with it; whoever opens no server needs none of them.
#pragma once
#include <curl/curl.h>
#include <signal.h>

namespace svm::net {

/// The functions that are used, by their names without the prefix.
struct Curl {
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_reset) easy_reset;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_easy_send) easy_send;
  decltype(&::curl_easy_recv) easy_recv;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
  decltype(&::curl_multi_init) multi_init;
  decltype(&::curl_multi_cleanup) multi_cleanup;
  decltype(&::curl_multi_add_handle) multi_add_handle;
  decltype(&::curl_multi_remove_handle) multi_remove_handle;
  decltype(&::curl_multi_perform) multi_perform;
  decltype(&::curl_multi_poll) multi_poll;
  decltype(&::curl_multi_wakeup) multi_wakeup;
  decltype(&::curl_multi_info_read) multi_info_read;
};

/// Loads it, once in a process, which then keeps it. Error unsupported: this host has none, or one that is too old.
const Curl& curl();

/// While one exists no signal reaches this thread, nor one that libcurl starts in it; a SIGPIPE that a broken connection made is gone afterwards. Signals
/// are the application's, and its handlers must not run on a thread that it does not know.
class SignalsHeld {
 public:
  SignalsHeld() noexcept;
  ~SignalsHeld();
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_;
  bool pending_;  // a SIGPIPE that is not ours
};

}  // namespace svm::net
