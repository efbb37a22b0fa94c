package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gatewayConnections are open at once, in every measurement.
const gatewayConnections = 32

// gateway compares what a proxy serves per second, and how long it takes at a
// fixed rate: alone, with the gateway, and with what others use in the gateway's
// place.
func (b *bench) gateway() string {
	f, err := newFleet(b.root)
	if err != nil {
		return "Not measured: " + err.Error() + "\n"
	}
	defer f.close()
	c := &comparison{runs: b.runs}
	c.start(f, subjects())

	rates := c.rounds("wrk", func(url string) (float64, error) { return f.saturate(url, b.load) })
	if len(rates[alone]) == 0 {
		return "Not measured: " + strings.Join(c.left, "; ") + "\n"
	}
	var rows [][]string
	var bars []bar
	for _, name := range c.names(rates) {
		b.steady.add(name, spread(rates[name]))
		each := median(rates[name])
		other := "-"
		if len(rates[oauth2Proxy]) > 0 {
			other = ratio(each / median(rates[oauth2Proxy]))
		}
		rows = append(rows, []string{name, fmt.Sprintf("%.0f", each), ratio(each / median(rates[alone])), other, percent(spread(rates[name]))})
		bars = append(bars, bar{name: name, value: each, label: fmt.Sprintf("%.0f", each), ours: strings.Contains(name, ours)})
	}
	b.barChart("performance-gateway.svg", "Requests per second of one proxy worker", "requests/s", bars)
	text := fmt.Sprintf("wrk with %d connections, RS256 with a key of 2048 bits, the same token, one worker of the proxy, a constant backend, median of %d interleaved rounds of %v:\n\n",
		gatewayConnections, b.runs, b.load) + table([]string{"", "requests/s", "to " + alone, "to " + oauth2Proxy, "spread"}, rows) +
		"\n![Requests per second](performance-gateway.svg)\n\n" + c.latency(f, rates[oauth2Proxy], b.load*2/3)
	if len(c.discarded) > 0 {
		text += "\nMeasured again: " + strings.Join(c.discarded, "; ") + ".\n"
	}
	if len(c.left) > 0 {
		text += "\nLeft out: " + strings.Join(c.left, "; ") + ".\n"
	}
	return text
}

// comparison measures subjects in interleaved rounds.
type comparison struct {
	runs      int
	urls      map[string]string // of the subjects that run
	order     []string
	left      []string // subjects that do not, and why
	discarded []string // measurements that counted for nothing
}

// start runs those subjects that can run.
func (c *comparison) start(f *fleet, subjects []subject) {
	c.urls = map[string]string{}
	for _, s := range subjects {
		url, err := s.start(f)
		if err != nil {
			c.left = append(c.left, s.name+": "+err.Error())
			continue
		}
		if status, err := f.answers(url, f.token); err != nil || status != http.StatusOK {
			c.left = append(c.left, fmt.Sprintf("%s: a good token was answered %d", s.name, status))
			continue
		}
		if status, err := f.answers(url, f.token+"A"); s.name != alone && (err != nil || status != http.StatusUnauthorized) {
			c.left = append(c.left, fmt.Sprintf("%s: a bad token was answered %d", s.name, status))
			continue
		}
		c.urls[s.name], c.order = url, append(c.order, s.name)
	}
}

// attempts are how often a measurement is tried.
const attempts = 3

// rounds measures each subject once a round, so that all share what the machine
// does meanwhile. A measurement that fails is made again; a subject that fails
// in all attempts is left out.
func (c *comparison) rounds(with string, measure func(url string) (float64, error)) map[string][]float64 {
	values := map[string][]float64{}
	for range c.runs {
		for _, name := range c.order {
			url, runs := c.urls[name]
			for attempt := 1; runs; attempt++ {
				value, err := measure(url)
				if err == nil {
					values[name] = append(values[name], value)
					break
				}
				if attempt == attempts {
					c.left = append(c.left, fmt.Sprintf("%s (%s): %v", name, with, err))
					delete(c.urls, name)
					delete(values, name)
					break
				}
				c.discarded = append(c.discarded, fmt.Sprintf("%s (%s): %v", name, with, err))
			}
		}
	}
	return values
}

// names are the subjects with values, in their order.
func (c *comparison) names(values map[string][]float64) []string {
	return slices.DeleteFunc(slices.Clone(c.order), func(name string) bool { return len(values[name]) == 0 })
}

// latency compares the 99th percentile at half the rate that oauth2-proxy can
// serve. The rate is the same for all, so what a slow subject takes longer is
// not hidden by asking it less often.
func (c *comparison) latency(f *fleet, saturation []float64, length time.Duration) string {
	switch {
	case len(saturation) == 0:
		c.left = append(c.left, "the latency at a fixed rate: it is half of what oauth2-proxy serves")
		return ""
	case f.fortio == "":
		c.left = append(c.left, "the latency at a fixed rate: there is no fortio (set FORTIO to its path)")
		return ""
	}
	rate := int(median(saturation) / 2)
	p99 := c.rounds("fortio", func(url string) (float64, error) { return f.p99(url, rate, length) })
	if len(p99[alone]) == 0 {
		return ""
	}
	base := median(p99[alone])
	var rows [][]string
	for _, name := range c.names(p99) {
		added := "-"
		if name != alone {
			added = fmt.Sprintf("%.2f", median(p99[name])-base)
		}
		rows = append(rows, []string{
			name, fmt.Sprintf("%.2f", median(p99[name])), added,
			fmt.Sprintf("%.2f to %.2f", slices.Min(p99[name]), slices.Max(p99[name])),
		})
	}
	return fmt.Sprintf("fortio at %d requests/s, half of what oauth2-proxy serves, with %d connections; the time that 99 %% of the requests take at most, median of %d interleaved rounds of %v:\n\n",
		rate, gatewayConnections, c.runs, length) + table([]string{"", "p99, ms", "added, ms", "range, ms"}, rows)
}

// saturate is what wrk gets per second.
func (f *fleet) saturate(url string, length time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), length+30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, f.wrk, "-t1", "-c"+strconv.Itoa(gatewayConnections), "-d"+seconds(length), //nolint:gosec // found on the PATH
		"-H", "Authorization: Bearer "+f.token, url)
	output, err := command.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w", err)
	}
	return wrkRate(output)
}

// seconds is a duration as wrk reads it: in whole seconds.
func seconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(d.Round(time.Second)/time.Second))) + "s"
}

// wrkRate reads the rate from what wrk prints, and is an error if one answer was
// not 2xx.
func wrkRate(output []byte) (float64, error) {
	for _, bad := range []string{"Non-2xx", "Socket errors"} {
		if _, line, found := bytes.Cut(output, []byte(bad)); found {
			line, _, _ = bytes.Cut(line, []byte("\n"))
			return 0, fmt.Errorf("%s%s", bad, line)
		}
	}
	found := regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`).FindSubmatch(output)
	if found == nil {
		return 0, errors.New("wrk said no rate")
	}
	return strconv.ParseFloat(string(found[1]), 64)
}

// p99 is the 99th percentile in milliseconds at a fixed rate.
func (f *fleet) p99(url string, rate int, length time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), length+30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, f.fortio, "load", "-quiet", "-json", "-", "-a=false", "-p", "99", "-r", "0.00001", "-uniform", //nolint:gosec // found on the PATH
		"-qps", strconv.Itoa(rate), "-c", strconv.Itoa(gatewayConnections), "-t", length.String(),
		"-H", "Authorization: Bearer "+f.token, url)
	output, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("fortio: %w", err)
	}
	return fortioP99(output, rate)
}

// fortioP99 reads the percentile from fortio's report. It is an error if one
// answer was not 200 or the rate was not reached.
func fortioP99(report []byte, rate int) (float64, error) {
	var r struct {
		ActualQPS         float64
		RetCodes          map[string]int
		DurationHistogram struct {
			Percentiles []struct{ Percentile, Value float64 }
		}
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return 0, fmt.Errorf("fortio's report: %w", err)
	}
	for code, count := range r.RetCodes {
		if code != strconv.Itoa(http.StatusOK) {
			return 0, fmt.Errorf("%d answers %s", count, code)
		}
	}
	if r.ActualQPS < 0.95*float64(rate) {
		return 0, fmt.Errorf("%.0f requests/s instead of %d", r.ActualQPS, rate)
	}
	for _, p := range r.DurationHistogram.Percentiles {
		if p.Percentile == 99 {
			return 1000 * p.Value, nil
		}
	}
	return 0, errors.New("fortio said no percentile")
}

// answers is the status that a token gets.
func (f *fleet) answers(url, token string) (int, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
