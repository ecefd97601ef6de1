import Testing

@testable import TauObjects

@Suite struct RequestSignatureTests {
    /// Amazon's test suite for version 4, `get-vanilla` and `get-vanilla-query-order-key-case`.
    @Test func `Amazon's own examples`() {
        let credentials = RequestSignature.Credentials(
            accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", sessionToken: nil)
        var request = RequestSignature(
            method: "GET", path: "/", query: [],
            headers: [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")],
            payloadHash: RequestSignature.sha256([]), date: "20150830T123600Z", region: "us-east-1", service: "service")
        #expect(
            request.authorization(credentials)
                == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        )
        request.query = [("Param2", "value2"), ("Param1", "value1")]
        #expect(
            request.authorization(credentials).hasSuffix(
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"))
    }

    /// The example of a GET in S3's documentation ("Authenticating Requests: Using the Authorization Header").
    @Test func `the example of S3's documentation`() {
        let credentials = RequestSignature.Credentials(
            accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", sessionToken: nil)
        let empty = RequestSignature.sha256([])
        let request = RequestSignature(
            method: "GET", path: "/test.txt", query: [],
            headers: [
                ("host", "examplebucket.s3.amazonaws.com"), ("range", "bytes=0-9"), ("x-amz-content-sha256", empty),
                ("x-amz-date", "20130524T000000Z"),
            ], payloadHash: empty, date: "20130524T000000Z", region: "us-east-1")
        #expect(
            request.authorization(credentials).hasSuffix(
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"))
    }

    @Test func `times`() {
        #expect(RequestDate.text(seconds: 1_440_938_160) == "20150830T123600Z")
        #expect(RequestDate.text(seconds: 951_782_399) == "20000228T235959Z")
        #expect(RequestDate.text(seconds: 951_782_400) == "20000229T000000Z")
        #expect(RequestDate.text(seconds: 0) == "19700101T000000Z")
        #expect(RequestDate.seconds(httpDate: "Sun, 30 Aug 2015 12:36:00 GMT") == 1_440_938_160)
        #expect(RequestDate.seconds(httpDate: "yesterday") == nil)
    }
}
