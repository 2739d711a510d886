# A curve as SVG: the first column of the input is x (logarithmic; 0 stands one
# decade before the first), the others are y from 0.
#   awk -v title=… -v names='a b' -f plot.awk DATA
{
	x[NR] = $1
	for (k = 2; k <= NF; k++) {
		y[NR, k] = $k
		if ($k > top) top = $k
	}
	columns = NF
}
function log10(v) { return log(v) / log(10) }
function at_x(v) { return 60 + (log10(v > 0 ? v : first) - low) / (high - low) * 500 }
function at_y(v) { return 300 - v / top * 250 }
function short(v) { return v >= 1e6 ? v / 1e6 " M" : v >= 1e3 ? v / 1e3 " k" : v }
END {
	for (i = 1; i <= NR && !first; i++)
		if (x[i] > 0) first = x[i] == x[1] ? x[i] : x[i] / 10
	low = log10(first); high = log10(x[NR]); top *= 1.1
	if (high <= low) high = low + 1
	split(names, name, " "); split("#1f77b4 #d62728 #2ca02c", colour, " ")
	print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"600\" height=\"350\" font-family=\"sans-serif\" font-size=\"12\">"
	print "<rect width=\"600\" height=\"350\" fill=\"white\"/><text x=\"60\" y=\"25\" font-size=\"14\">" title "</text>"
	print "<path d=\"M60 50V300H570\" fill=\"none\" stroke=\"black\"/>"
	for (i = 0; i <= 4; i++)
		printf "<text x=\"52\" y=\"%.0f\" text-anchor=\"end\">%.2f</text><path d=\"M60 %.0fH570\" stroke=\"#ddd\"/>\n", at_y(top * i / 4) + 4, top * i / 4, at_y(top * i / 4)
	for (i = 1; i <= NR; i++)
		printf "<text x=\"%.0f\" y=\"318\" text-anchor=\"middle\">%s</text>\n", at_x(x[i]), short(x[i])
	for (k = 2; k <= columns; k++) {
		printf "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"", colour[k - 1]
		for (i = 1; i <= NR; i++) printf "%.1f,%.1f ", at_x(x[i]), at_y(y[i, k])
		printf "\"/><text x=\"565\" y=\"%.0f\" text-anchor=\"end\" fill=\"%s\">%s</text>\n", 40 + 14 * (k - 1), colour[k - 1], name[k - 1]
	}
	print "</svg>"
}
