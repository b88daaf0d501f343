package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/labctl/labctl/internal/yaml"
)

func (p *process) kubectlPatch(c *cluster, r *request) int {
	text := r.flags["p"] + r.flags["patch"]
	if r.flags["type"] == "json" {
		return p.jsonPatch(c, r, text)
	}
	var patch map[string]any
	if err := yaml.Unmarshal([]byte(text), &patch); err != nil || patch == nil {
		return p.errorf("error: unable to parse %q", text)
	}
	encoded, err := json.Marshal(patch)
	if err == nil {
		patch = nil
		err = json.Unmarshal(encoded, &patch)
	}
	if strings.Contains(text, `"$patch"`) {
		return p.errorf("error: the SIMULATED kubectl does not know $patch")
	}
	if t := r.flags["type"]; err != nil || t != "" && t != "merge" && t != "strategic" {
		return p.errorf("error: the SIMULATED kubectl does not know --type=%s", t)
	}
	return p.patch(c, r, func(body map[string]any) (map[string]any, error) {
		if r.flags["type"] == "merge" {
			return mapOf(merged(body, patch)), nil
		}
		return mapOf(strategic(body, patch, "")), nil
	})
}

func (p *process) patch(c *cluster, r *request, change func(body map[string]any) (map[string]any, error)) int {
	return p.edit(c, r, "patched", func(st *clusterState, o *object) error {
		k, _ := kindNamed(o.Kind)
		body, err := change(o.Body)
		if err != nil {
			return err
		}
		if body, err = c.admit(st, document{kind: k, namespace: o.Namespace, name: o.Name, body: body}, o); err == nil {
			o.Body = body
		}
		return err
	})
}

// jsonPatch is --type=json (RFC 6902): add, replace and remove.
func (p *process) jsonPatch(c *cluster, r *request, text string) int {
	var operations []struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	if err := json.Unmarshal([]byte(text), &operations); err != nil {
		return p.errorf("error: unable to parse %q: %v", text, err)
	}
	return p.patch(c, r, func(body map[string]any) (map[string]any, error) {
		var v any = body
		for _, op := range operations {
			if !slices.Contains([]string{"add", "replace", "remove"}, op.Op) {
				return nil, fmt.Errorf("error: the SIMULATED API server does not know the operation %q", op.Op)
			}
			keys := strings.Split(strings.TrimPrefix(op.Path, "/"), "/")
			for i, k := range keys {
				keys[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(k)
			}
			var err error
			if v, err = patched(v, op.Op, keys, op.Value); err != nil {
				return nil, fmt.Errorf("The request is invalid: %w", err)
			}
		}
		return mapOf(v), nil
	})
}

// patched is a value after one operation of a JSON patch.
func patched(v any, op string, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	last := len(path) == 1
	switch have := v.(type) {
	case map[string]any:
		out := maps.Clone(have)
		inner, there := have[path[0]]
		switch {
		case !there && (op != "add" || !last):
			return nil, fmt.Errorf("doc is missing key: %q", path[0])
		case last && op == "remove":
			delete(out, path[0])
			return out, nil
		}
		var err error
		out[path[0]], err = patched(inner, op, path[1:], value)
		return out, err
	case []any:
		out := slices.Clone(have)
		if path[0] == "-" && last && op == "add" {
			return append(out, value), nil
		}
		n, err := strconv.Atoi(path[0])
		switch {
		case err != nil || n < 0 || n >= len(have):
			return nil, fmt.Errorf("invalid index %q", path[0])
		case last && op == "remove":
			return slices.Delete(out, n, n+1), nil
		case last && op == "add":
			return slices.Insert(out, n, value), nil
		}
		out[n], err = patched(have[n], op, path[1:], value)
		return out, err
	}
	return nil, fmt.Errorf("no such path at %q", path[0])
}

// merged lays a JSON merge patch (RFC 7386) over a value: maps are merged, null removes, anything else is replaced.
func merged(v, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	out := maps.Clone(mapOf(v))
	for k, x := range p {
		if x == nil {
			delete(out, k)
		} else {
			out[k] = merged(out[k], x)
		}
	}
	return out
}

// mergeKey is the field that tells the elements of a list apart, in a list that a strategic patch merges; empty for one that it replaces.
// Source: the fields' patchMergeKey in https://github.com/kubernetes/api/blob/v0.34.3/core/v1/types.go.
func mergeKey(field string, list []any) string {
	switch field {
	case "containers", "initContainers", "ephemeralContainers", "volumes", "env", "imagePullSecrets":
		return "name"
	case "volumeMounts":
		return "mountPath"
	case "topologySpreadConstraints":
		return "topologyKey"
	case "ports":
		if len(list) > 0 && dig(list[0], "port") != nil {
			return "port" // a service's
		}
		return "containerPort"
	}
	return ""
}

// strategic lays a strategic merge patch over the value of a field: as merged does, but lists of named things are merged by name.
func strategic(v, patch any, field string) any {
	switch p := patch.(type) {
	case map[string]any:
		out := maps.Clone(mapOf(v))
		for k, x := range p {
			if x == nil {
				delete(out, k)
			} else {
				out[k] = strategic(out[k], x, k)
			}
		}
		return out
	case []any:
		key := mergeKey(field, p)
		if key == "" {
			return patch
		}
		have, _ := v.([]any)
		out := slices.Clone(have)
		for _, add := range p {
			if at := slices.IndexFunc(out, func(h any) bool { return dig(h, key) == dig(add, key) }); at >= 0 {
				out[at] = strategic(out[at], add, "")
			} else {
				out = append(out, strategic(nil, add, ""))
			}
		}
		return out
	}
	return patch
}

// pruned is the value of a field without what one manifest had there and the next has not.
func pruned(field string, have, before, now any) any {
	switch before := before.(type) {
	case map[string]any:
		m, ok := have.(map[string]any)
		if !ok {
			return have
		}
		out := maps.Clone(m)
		for k, v := range before {
			if next, stays := mapOf(now)[k]; stays {
				if there, ok := out[k]; ok {
					out[k] = pruned(k, there, v, next)
				}
			} else {
				delete(out, k)
			}
		}
		return out
	case []any:
		list, ok := have.([]any)
		next, _ := now.([]any)
		key := mergeKey(field, before)
		if !ok || key == "" {
			return have
		}
		element := func(of []any, like any) any {
			if at := slices.IndexFunc(of, func(o any) bool { return dig(o, key) == dig(like, key) }); at >= 0 {
				return of[at]
			}
			return nil
		}
		var out []any
		for _, h := range list {
			switch was, is := element(before, h), element(next, h); {
			case was == nil:
				out = append(out, h)
			case is != nil:
				out = append(out, pruned("", h, was, is))
			}
		}
		return out
	}
	return have
}
