#pragma once

#include <linux/sched.h>
#include <seccomp.h>
#include <stdlib.h>
