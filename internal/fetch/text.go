package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

// fetchText returns a small file's content, which is not kept. More than limit bytes are an error.
func (c *Cache) fetchText(ctx context.Context, u *url.URL, limit int64, progress Progress) ([]byte, error) {
	var text []byte
	err := c.attempts(ctx, u, Progress{Say: progress.Say}, func(ctx context.Context, client *http.Client, _ *watch) error {
		body, err := open(ctx, u, client)
		if err != nil {
			return err
		}
		defer body.Close()
		text, err = io.ReadAll(io.LimitReader(body, limit+1))
		if err == nil && int64(len(text)) > limit {
			err = permanent{fmt.Errorf("more than %d bytes", limit)}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return text, nil
}

func open(ctx context.Context, u *url.URL, client *http.Client) (io.ReadCloser, error) {
	if u.Scheme == "file" {
		return os.Open(filePath(u))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
