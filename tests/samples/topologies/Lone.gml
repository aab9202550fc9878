graph [
  node [ id 7 label "Longyearbyen" Longitude 15.63 Latitude 78.22 ]
]
