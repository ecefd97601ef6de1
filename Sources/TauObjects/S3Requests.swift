internal import AsyncHTTPClient
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization
internal import TauSystem

/// Signed requests to one bucket, tried again where that may help.
final class S3Requests: Sendable {
    struct Answer {
        var headers: HTTPHeaders
        var body: [UInt8]
    }

    let configuration: S3Configuration
    private let client: HTTPClient
    /// How far the server's clock is from ours, in seconds; learnt when it refuses us for that.
    private let clockOffset = Mutex<Int64>(0)

    /// Bytes of an answer that is read whole.
    private static let maxAnswerBytes = 1 << 20

    init(configuration: S3Configuration, client: HTTPClient) {
        self.configuration = configuration
        self.client = client
    }

    /// Sends a request and reads its answer whole.
    func send(
        _ method: String, _ key: String, query: [(name: String, value: String)] = [], body: [UInt8] = []
    ) async throws(ObjectError) -> Answer {
        try await repeatedly { () async throws(Refusal) in
            let response = try await self.execute(method, key, query, body)
            let bytes = try await self.collect(response)
            guard (200...299).contains(response.status.code) else {
                throw self.refusal(response, bytes)
            }
            return Answer(headers: response.headers, body: bytes)
        }
    }

    /// Asks for an object, and leaves its bytes to the caller.
    func open(_ key: String) async throws(ObjectError) -> (byteCount: Int, body: HTTPClientResponse.Body) {
        try await repeatedly { () async throws(Refusal) in
            let response = try await self.execute("GET", key, [], [])
            guard response.status == .ok else {
                throw self.refusal(response, try await self.collect(response))
            }
            guard let count = response.headers.first(name: "content-length").flatMap({ Int($0) }) else {
                throw Refusal(ObjectError(.unavailable, "the S3 server does not say how long an object is"))
            }
            return (count, response.body)
        }
    }

    // MARK: Trying again

    private struct Refusal: Error {
        var error: ObjectError
        var mayTryAgain = false
        /// What the server asks to be waited for.
        var waitMilliseconds: Int?

        init(_ error: ObjectError, mayTryAgain: Bool = false, waitMilliseconds: Int? = nil) {
            self.error = error
            self.mayTryAgain = mayTryAgain
            self.waitMilliseconds = waitMilliseconds
        }
    }

    private func repeatedly<Value>(
        _ body: () async throws(Refusal) -> Value
    ) async throws(ObjectError) -> Value {
        var attempt = 1
        while true {
            do throws(Refusal) {
                return try await body()
            } catch {
                guard error.mayTryAgain, attempt < configuration.attempts, !Task.isCancelled else { throw error.error }
                let backoff = min(
                    configuration.maxBackoffMilliseconds, configuration.minBackoffMilliseconds << min(attempt - 1, 16))
                let wait = min(error.waitMilliseconds ?? 0, configuration.maxBackoffMilliseconds)
                try? await Task.sleep(for: .milliseconds(max(wait, Int.random(in: (backoff / 2)...max(1, backoff)))))
                attempt += 1
            }
        }
    }

    private func refusal(_ response: HTTPClientResponse, _ body: [UInt8]) -> Refusal {
        let code = XMLText.content(of: "Code", in: body) ?? "\(response.status.code)"
        switch response.status.code {
        case 404: return Refusal(ObjectError(.notFound, "there is no such object, or no such bucket (\(code))"))
        case 403 where code == "RequestTimeTooSkewed":
            return Refusal(
                ObjectError(.denied, "the clocks of this machine and of the S3 server are too far apart"),
                mayTryAgain: learnClock(response))
        case 401, 403: return Refusal(ObjectError(.denied, "the S3 server refuses us: \(code)"))
        case 408, 429, 500...599:
            let seconds = response.headers.first(name: "retry-after").flatMap { Int($0) }
            return Refusal(
                ObjectError(.unavailable, "the S3 server has failed: \(code)"), mayTryAgain: true,
                waitMilliseconds: seconds.map { min($0, 3600) * 1000 })
        case 400 where code == "XAmzContentSHA256Mismatch" || code == "BadDigest":
            return Refusal(
                ObjectError(.corrupt, "the bytes were changed on their way to the S3 server"), mayTryAgain: true)
        default: return Refusal(ObjectError(.unavailable, "the S3 server refuses a request: \(code)"))
        }
    }

    /// Takes the server's clock over; false if that is nothing new.
    private func learnClock(_ response: HTTPClientResponse) -> Bool {
        guard let text = response.headers.first(name: "date"), let seconds = RequestDate.seconds(httpDate: text) else {
            return false
        }
        let offset = seconds - wallClockMilliseconds() / 1000
        return clockOffset.withLock { known in
            defer { known = offset }
            return abs(known - offset) > 60
        }
    }

    // MARK: One request

    private func execute(
        _ method: String, _ key: String, _ query: [(name: String, value: String)], _ body: [UInt8]
    ) async throws(Refusal) -> HTTPClientResponse {
        let address = configuration.address(of: key)
        let seconds = wallClockMilliseconds() / 1000 + clockOffset.withLock { $0 }
        let date = RequestDate.text(seconds: seconds)
        let hash = RequestSignature.sha256(body)
        var headers = [("host", address.host), ("x-amz-content-sha256", hash), ("x-amz-date", date)]
        if let token = configuration.credentials.sessionToken { headers.append(("x-amz-security-token", token)) }
        let signature = RequestSignature(
            method: method, path: address.path, query: query, headers: headers.map { ($0.0, $0.1) }, payloadHash: hash,
            date: date, region: configuration.region)
        let options = RequestSignature.queryString(query)
        var request = HTTPClientRequest(url: address.url + (options.isEmpty ? "" : "?" + options))
        request.method = HTTPMethod(rawValue: method)
        for (name, value) in headers where name != "host" { request.headers.add(name: name, value: value) }
        request.headers.add(name: "authorization", value: signature.authorization(configuration.credentials))
        request.headers.add(name: "user-agent", value: "tau")
        if method == "PUT" || method == "POST" { request.body = .bytes(ByteBuffer(bytes: body)) }
        do {
            return try await client.execute(request, timeout: .seconds(Int64(configuration.timeoutSeconds)))
        } catch {
            let isCancelled = error is CancellationError
            throw Refusal(
                ObjectError(.unavailable, "the S3 server cannot be reached: \(type(of: error))"),
                mayTryAgain: !isCancelled)
        }
    }

    private func collect(_ response: HTTPClientResponse) async throws(Refusal) -> [UInt8] {
        do {
            return Array(try await response.body.collect(upTo: Self.maxAnswerBytes).readableBytesView)
        } catch {
            throw Refusal(
                ObjectError(.unavailable, "an answer of the S3 server broke off, or is too long"), mayTryAgain: true)
        }
    }
}

/// Times as S3 writes them, in UTC.
enum RequestDate {
    /// `20150830T123600Z` (ISO 8601, basic format).
    static func text(seconds: Int64) -> String {
        let (year, month, day) = date(days: Int(seconds.quotient(86_400)))
        let rest = Int(seconds - seconds.quotient(86_400) * 86_400)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(year)\(two(month))\(two(day))T\(two(rest / 3600))\(two(rest / 60 % 60))\(two(rest % 60))Z"
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Of `Sun, 30 Aug 2015 12:36:00 GMT` (RFC 9110, 5.6.7).
    static func seconds(httpDate text: String) -> Int64? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, let day = Int(parts[1]), let month = months.firstIndex(of: String(parts[2])),
            let year = Int(parts[3])
        else { return nil }
        let time = parts[4].split(separator: ":").compactMap { Int($0) }
        guard time.count == 3, (1...31).contains(day), (1970...9999).contains(year) else { return nil }
        return Int64(days(year, month + 1, day)) * 86_400 + Int64(time[0] * 3600 + time[1] * 60 + time[2])
    }

    /// Days since 1970 of the Gregorian calendar; years that begin in March make leap days the last ones.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let monthFromMarch = (month + 9) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        return 365 * year + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
    }

    private static func date(days: Int) -> (year: Int, month: Int, day: Int) {
        var year = 1970 + days / 366
        while Self.days(year + 1, 1, 1) <= days { year += 1 }
        var month = 1
        while month < 12, Self.days(year, month + 1, 1) <= days { month += 1 }
        return (year, month, days - Self.days(year, month, 1) + 1)
    }
}

extension Int64 {
    /// Rounded down.
    fileprivate func quotient(_ divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}
