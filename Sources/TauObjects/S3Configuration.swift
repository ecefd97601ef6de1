/// A bucket of an S3 server, and how it is reached.
package struct S3Configuration: Sendable {
    package var bucket: String
    /// In front of every key.
    package var prefix: String
    package var region: String
    /// Such as `https://s3.eu-west-1.amazonaws.com`, without a slash at the end.
    package var endpoint: String
    /// Whether the bucket's name stands in the path instead of in front of the host's name.
    package var usesPathStyle: Bool
    var credentials: RequestSignature.Credentials
    /// Bytes above which an object goes up in parts, and of each part.
    package var partBytes = 16 << 20
    /// How often a request is sent before it has failed.
    package var attempts = 5
    package var minBackoffMilliseconds = 100
    package var maxBackoffMilliseconds = 5000
    /// Seconds that a request may take until its answer begins.
    package var timeoutSeconds = 60

    /// Takes what the usual variables say: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or
    /// AWS_DEFAULT_REGION, and AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL. With an endpoint of one's own the bucket's name stands in
    /// the path.
    package init(bucket: String, prefix: String, variables: (String) -> String?) throws(ObjectError) {
        func value(_ names: String...) -> String? { names.lazy.compactMap(variables).first { !$0.isEmpty } }
        guard let accessKey = value("AWS_ACCESS_KEY_ID"), let secretKey = value("AWS_SECRET_ACCESS_KEY") else {
            throw ObjectError(
                .badConfiguration, "a bucket in S3 needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        }
        self.bucket = bucket
        self.prefix = prefix
        credentials = .init(accessKey: accessKey, secretKey: secretKey, sessionToken: value("AWS_SESSION_TOKEN"))
        region = value("AWS_REGION", "AWS_DEFAULT_REGION") ?? "us-east-1"
        let own = value("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        var endpoint = own ?? "https://s3.\(region).amazonaws.com"
        while endpoint.hasSuffix("/") { endpoint.removeLast() }
        guard endpoint.hasPrefix("http://") || endpoint.hasPrefix("https://") else {
            throw ObjectError(.badConfiguration, "AWS_ENDPOINT_URL must begin with http:// or https://")
        }
        self.endpoint = endpoint
        usesPathStyle = own != nil || bucket.contains(".")
    }

    /// The host with its port, the path of an object, and the URL's beginning.
    func address(of key: String) -> (host: String, path: String, url: String) {
        let scheme = endpoint.hasPrefix("https") ? "https://" : "http://"
        let place = endpoint.dropFirst(scheme.count)
        let object = RequestSignature.encoded(prefix + key, keepsSlashes: true)
        if usesPathStyle {
            let path = "/\(bucket)/\(object)"
            return (String(place), path, scheme + place + path)
        }
        let host = "\(bucket).\(place)"
        return (host, "/" + object, scheme + host + "/" + object)
    }
}
