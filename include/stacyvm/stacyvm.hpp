#pragma once
#include <stacyvm/stacyvm.h>
