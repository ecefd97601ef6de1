internal import Glibc

/// Lets the process have as many open files and connections as it may: a thousand runs need more than the usual soft limit.
///
/// Answers how many that are now. `select` is not used anywhere, so numbers above its bound do no harm.
@discardableResult
package func raiseOpenFileLimit(atMost bound: UInt = 65_536) -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
    let wanted = min(limit.rlim_max, bound)
    if limit.rlim_cur < wanted {
        var raised = limit
        raised.rlim_cur = wanted
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
    }
    return Int(clamping: limit.rlim_cur)
}
