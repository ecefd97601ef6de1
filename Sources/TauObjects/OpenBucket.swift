internal import AsyncHTTPClient
internal import NIOCore
package import TauSystem

/// A bucket that a URL names, with the connections that it needs.
package struct OpenBucket: Sendable {
    package let bucket: any ObjectBucket
    private let client: HTTPClient?

    /// `variables` answers what the environment says, for the names that S3's clients use.
    package init(
        url: String, threads: BlockingThreads, variables: (String) -> String?
    ) throws(ObjectError) {
        switch try ObjectLocation(url: url) {
        case .directory(let path):
            bucket = DirectoryBucket(path: path, threads: threads)
            client = nil
        case .s3(let name, let prefix):
            let configuration = try S3Configuration(bucket: name, prefix: prefix, variables: variables)
            var http = HTTPClient.Configuration()
            http.timeout.connect = .seconds(10)
            http.timeout.read = .seconds(30)
            let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: http)
            bucket = S3Bucket(configuration, client: client)
            self.client = client
        }
    }

    /// Ends the connections. Nothing may be under way any more.
    package func close() async { try? await client?.shutdown() }
}
