// Package fetch knows how to get a file once, verified, into a cache that several labs and several labctl share.
//
//	cache := &fetch.Cache{Dir: "/home/me/.cache/labctl/images", HTTP: http.DefaultClient}
//	sum, err := cache.Checksum(ctx, url, "https://cloud-images.example/SHA256SUMS", fetch.Progress{}) // or 64 digits, or sha256: and these
//	path, err := cache.Fetch(ctx, url, sum, fetch.MostOfImage, fetch.Steps(step, "downloading the image"))
//
// A file lies at DIR/SHA256/NAME, and it lies there only if it has that checksum: it is fetched to NAME.part under a lock,
// checked and renamed. What has another checksum is removed. A file that is there already is checked again before
// it is used, so that a damaged one is fetched anew. DIR/SHA256/.size holds how many bytes it has, for those who only want to know whether
// it is there. Lists of checksums are kept in DIR/checksums, so that a second
// run needs no network at all.
//
// Sources are http and https URLs, file URLs and paths. go-getter does the transfer, with its file and http getters alone;
// nothing is ever unpacked. The environment's proxies are used (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
//
// A part, also one that a killed run has left, is continued only where that is proven to be the same file: its ETag or date
// was noted when it began (NAME.part.json), and the server answers 206 with exactly the missing range, the same total
// and the same ETag or date. On any other answer the download begins anew. go-getter would append a whole file to a part where a
// server ignores the range, and would take any file of the right length for finished: it is told what to do by a
// transport that answers its HEAD request itself. Where a continued file has the wrong checksum after all, it is fetched
// once more from nothing.
//
// A transfer without a byte for a minute is given up; a slow one is not. That, broken connections and a server's own faults
// (status 5xx, 408, 429) are tried again, three times without getting further, and Progress hears why; other statuses, such as 404, are final. A
// file that turns out larger than it can be is final too, and removed.
//
// It imports nothing of labctl.
package fetch
