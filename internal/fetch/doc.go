// Package fetch knows how to get a file once, verified, into a cache that several labs and several labctl share.
//
//	cache := &fetch.Cache{Dir: "/home/me/.cache/labctl/images", HTTP: http.DefaultClient}
//	path, err := cache.Fetch(ctx, "https://cloud-images.example/jammy.img", sha256, progress)
//	sums, err := cache.FetchText(ctx, "https://releases.example/v1/sha256sum-amd64.txt", 1<<20)
//
// A file lies at DIR/SHA256/NAME, and it lies there only if it has that checksum: it is fetched to NAME.part under a lock,
// checked and renamed. What has another checksum is removed. A file that is there already is checked again before
// it is used, so that a damaged one is fetched anew.
//
// Sources are http and https URLs, file URLs and paths. go-getter does the transfer, with its file and http getters alone;
// nothing is ever unpacked. Its HEAD request and with it its way of resuming are switched off, because it appends a whole
// file to a part where a server ignores the range: every attempt starts from nothing.
//
// A transfer without a byte for a minute is given up. That, broken connections and a server's own faults (status 5xx,
// 408, 429) are tried again, three times; other statuses, such as 404, are final.
//
// It imports nothing of labctl.
package fetch
